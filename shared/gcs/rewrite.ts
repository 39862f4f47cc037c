import { asStatusError, StatusError } from "../error.ts";
import type { CopyCourse, ObjectInfo } from "../pipeline/ports.ts";
import type { Origin } from "./download.ts";
import { isBucketMissing, isTransient, readRefusal, refused } from "./error.ts";
import { attempted, sendForText } from "./http.ts";
import type { Resource } from "./info.ts";
import { objectPath } from "./name.ts";
import { createPatience } from "./patience.ts";

/** One call of a long rewrite may take its time: https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite */
const answerMs = 120_000;

/**
 * Copies one generation within Cloud Storage to where no object is yet, and answers the copy's resource. Long copies
 * take several calls, held together by a token; a call that fails is repeated with the token that it had, and a later
 * attempt may go on with the token of an earlier one. ABORTED: there is an object already, maybe that of a call whose
 * answer was lost. DATA_LOSS: the source is gone.
 */
export async function rewrite(
  origin: Origin,
  from: Pick<ObjectInfo, "bucket" | "object" | "generation">,
  to: { bucket: string; object: string },
  metadata: Record<string, string>,
  signal: AbortSignal | undefined,
  course: CopyCourse | undefined,
): Promise<Resource> {
  const { bucket, object, generation } = from;
  const what = `copying gs://${bucket}/${object}#${generation} to gs://${to.bucket}/${to.object}`;
  const [source, target] = [objectPath(bucket, object), objectPath(to.bucket, to.object)];
  // No ifSourceGenerationMatch beside the pinned generation: a 412 is always about the target.
  const query = new URLSearchParams({ sourceGeneration: generation, ifGenerationMatch: "0" });
  const url = `${origin.baseUrl}/storage/v1/${source}/rewriteTo/${target}?${query}`;
  const patience = createPatience(origin.limits);
  const ask = (token: string | undefined): Promise<Page | StatusError> => {
    const resource = { metadata, contentType: "application/octet-stream" };
    return call(
      origin,
      what,
      token === undefined ? url : `${url}&rewriteToken=${encodeURIComponent(token)}`,
      resource,
      signal,
    );
  };
  for (let token = course?.resume; ; ) {
    const page = await ask(token).catch((error) => {
      const isOld = token !== undefined && token === course?.resume && asStatusError(error).code !== "ABORTED";
      if (!isOld || signal?.aborted) throw error;
      token = undefined; // too old a token, or one of another copy
      return ask(token);
    });
    if (page instanceof StatusError) {
      if (patience.isOver()) throw page;
      await patience.pause(signal);
      continue;
    }
    if (page.done && page.resource !== undefined) return page.resource;
    if (page.rewriteToken === undefined) throw new StatusError("UNKNOWN", `${what}: an answer without end and token`);
    patience.progress();
    token = page.rewriteToken;
    course?.onProgress(Number(page.totalBytesRewritten), token);
  }
}

interface Page {
  done: boolean;
  /** An int64, as text. */
  totalBytesRewritten?: string;
  rewriteToken?: string;
  resource?: Resource;
}

/** One call; a failure that another may mend is answered, any other thrown. */
async function call(
  { authorize, connections, limits }: Origin,
  what: string,
  url: string,
  resource: object,
  signal: AbortSignal | undefined,
): Promise<Page | StatusError> {
  const body = Buffer.from(JSON.stringify(resource));
  const headers = { "content-type": "application/json", ...(await authorize(url)) };
  const stallMs = Math.max(limits.stallMs, answerMs);
  const request = { what, method: "POST", url, headers, body, connections, stallMs, signal } as const;
  const response = await attempted(sendForText(request), signal);
  if (response instanceof StatusError) return response;
  if (response.status === 200) return JSON.parse(response.text) as Page;
  const refusal = readRefusal(response.status, response.text);
  const error = refused(what, refusal);
  if (isTransient(refusal)) return error;
  if (refusal.status === 404 && !isBucketMissing(refusal))
    throw new StatusError("DATA_LOSS", `${what}: the source is gone: deleted or replaced`, { cause: error });
  throw error;
}
