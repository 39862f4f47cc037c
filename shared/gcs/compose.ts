import { StatusError } from "../error.ts";
import type { ObjectInfo } from "../pipeline/ports.ts";
import type { Origin } from "./download.ts";
import { isBucketMissing, isTransient, readRefusal, refused } from "./error.ts";
import { attempted, sendForText } from "./http.ts";
import { parseResource, type Resource } from "./info.ts";
import { objectPath } from "./name.ts";
import { createPatience } from "./patience.ts";

/** https://cloud.google.com/storage/docs/json_api/v1/objects/compose: what stands there is moved, not copied. */
const answerMs = 60_000;

/**
 * Makes one object of several generations, end to end, where no object is yet, and answers its resource. ABORTED: there is
 * an object already, maybe that of a call whose answer was lost. DATA_LOSS: a source is gone.
 */
export async function compose(
  { baseUrl, authorize, connections, limits }: Origin,
  sources: readonly Pick<ObjectInfo, "object" | "generation">[],
  to: { bucket: string; object: string },
  metadata: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<Resource> {
  const what = `composing gs://${to.bucket}/${to.object} of ${sources.length} objects`;
  const url = `${baseUrl}/storage/v1/${objectPath(to.bucket, to.object)}/compose?ifGenerationMatch=0`;
  const sourceObjects = sources.map(({ object: name, generation }) => ({ name, generation }));
  const destination = { metadata, contentType: "application/octet-stream" };
  const body = Buffer.from(JSON.stringify({ sourceObjects, destination }));
  const patience = createPatience(limits);
  const stallMs = Math.max(limits.stallMs, answerMs);
  for (;;) {
    const headers = { "content-type": "application/json", ...(await authorize(url)) };
    const request = { what, method: "POST", url, headers, body, connections, stallMs, signal } as const;
    const response = await attempted(sendForText(request), signal);
    const failure = response instanceof StatusError ? response : failureOf(what, response);
    if (failure === undefined && !(response instanceof StatusError)) {
      const resource = parseResource(response.text);
      if (resource !== undefined) return resource;
      throw new StatusError("UNKNOWN", `${what}: expected an object's resource, found something else`);
    }
    if (failure === undefined || patience.isOver()) throw failure;
    await patience.pause(signal);
  }
}

/** A failure that another call may mend is answered, any other thrown. */
function failureOf(what: string, { status, text }: { status: number; text: string }): StatusError | undefined {
  if (status === 200) return undefined;
  const refusal = readRefusal(status, text);
  const error = refused(what, refusal);
  if (isTransient(refusal)) return error;
  if (refusal.status === 404 && !isBucketMissing(refusal))
    throw new StatusError("DATA_LOSS", `${what}: one of them is gone: deleted or replaced`, { cause: error });
  throw error;
}
