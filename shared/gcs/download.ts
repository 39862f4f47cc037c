import { StatusError } from "../error.ts";
import type { ObjectInfo, ReadRange } from "../pipeline/ports.ts";
import { createChecksum } from "./checksum.ts";
import { isBucketMissing, isTransient, type Refusal, readRefusal, refused } from "./error.ts";
import { attempted, type Connections, type Request, type Response, readText, send } from "./http.ts";
import { objectPath } from "./name.ts";
import { createPatience, type Limits, type Patience } from "./patience.ts";
import { BrokenBody, piecesOf } from "./pieces.ts";

/** What a download needs to know of where it reads. */
export interface Origin {
  /** Such as https://storage.googleapis.com. */
  baseUrl: string;
  /** The headers that say who asks. */
  authorize(url: string): Promise<Record<string, string>>;
  connections: Connections;
  limits: Limits;
}

/** Where the bytes must end, and what their CRC32C must be when all of the object is read. */
interface Expectation {
  end?: number;
  crc32c?: string;
}

interface Reading {
  what: string;
  url: string;
  start: number;
  end: number | undefined;
  signal: AbortSignal | undefined;
}

/**
 * The bytes `[start, end)` of one generation; after a broken or silent connection it goes on where it was. UNAVAILABLE:
 * it got no further for a while. DATA_LOSS: that generation is gone, or all of it was read and its CRC32C differs.
 * The consumer's pace is the connection's, and leaving the loop closes it.
 */
export async function* download(
  origin: Origin,
  { bucket, object, generation }: Pick<ObjectInfo, "bucket" | "object" | "generation">,
  { start = 0, end, fleeting = false }: ReadRange = {},
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const what = `reading gs://${bucket}/${object}#${generation}`;
  const query = new URLSearchParams({ alt: "media", generation });
  const url = `${origin.baseUrl}/storage/v1/${objectPath(bucket, object)}?${query}`;
  const reading = { what, url, start, end, signal };
  if (end !== undefined && end <= start) return;

  const patience = createPatience(origin.limits);
  const checksum = createChecksum();
  let expected: Expectation = {};
  let at = start;
  for (;;) {
    const opened = await open(origin, reading, at, patience);
    if (opened === undefined) return;
    expected = { ...expectationOf(opened.headers, reading), ...expected };
    let broken: StatusError | undefined;
    try {
      const progress = () => patience.progress();
      for await (const piece of piecesOf(opened.body, { stallMs: origin.limits.stallMs, fleeting, progress })) {
        at += piece.length;
        if (start === 0) checksum.add(piece);
        yield piece;
        progress();
        signal?.throwIfAborted();
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof BrokenBody)) throw error;
      broken = new StatusError("UNAVAILABLE", `${what}: the connection broke: ${error.message}`, { cause: error });
    } finally {
      opened.close();
    }
    if (expected.end === undefined ? broken === undefined : at >= expected.end) break;
    if (broken !== undefined && patience.isOver()) throw stuck(reading, at, origin.limits, broken);
    await patience.pause(signal);
  }
  if (expected.crc32c !== undefined && expected.crc32c !== checksum.value()) throw damaged(what, expected.crc32c);
}

/** The response that has the bytes from `at` on; `undefined` where the object ends before. */
async function open(
  { authorize, connections, limits }: Origin,
  reading: Reading,
  at: number,
  patience: Patience,
): Promise<Response | undefined> {
  const { what, url, end, signal } = reading;
  const range = at === 0 && end === undefined ? {} : { range: `bytes=${at}-${end === undefined ? "" : end - 1}` };
  for (;;) {
    // Stored bytes as they are: without it an object of Content-Encoding gzip would be unpacked, and not by range.
    const headers = { "accept-encoding": "gzip", ...range, ...(await authorize(url)) };
    const request = { what, method: "GET", url, headers, connections, stallMs: limits.stallMs, signal } as const;
    const answer = await attempted(ask(request), signal);
    if ("body" in answer) return answer;
    if (answer instanceof StatusError || isTransient(answer)) {
      const failure = answer instanceof StatusError ? answer : refused(what, answer);
      if (patience.isOver()) throw stuck(reading, at, limits, failure);
      await patience.pause(signal);
      continue;
    }
    if (answer.status === 416) return undefined;
    throw answer.status === 404 && !isBucketMissing(answer) ? gone(what) : refused(what, answer);
  }
}

async function ask(request: Request): Promise<Response | Refusal> {
  const response = await send(request);
  if (response.status === 200 || response.status === 206) return response;
  return readRefusal(response.status, await readText(response, request.what, request.stallMs));
}

function expectationOf(headers: Response["headers"], { start, end }: Reading): Expectation {
  const whole = Number(/\/(\d+)$/.exec(headers["content-range"] ?? "")?.[1] ?? headers["content-length"] ?? Number.NaN);
  if (Number.isNaN(whole)) return {};
  const crc32c = /crc32c=([A-Za-z0-9+/]{6}==)/.exec(String(headers["x-goog-hash"] ?? ""))?.[1];
  const isWhole = start === 0 && (end === undefined || end >= whole);
  return { end: Math.min(end ?? whole, whole), ...(isWhole && crc32c !== undefined && { crc32c }) };
}

const gone = (what: string): StatusError => new StatusError("DATA_LOSS", `${what}: it is gone: deleted or replaced`);

function damaged(what: string, crc32c: string): StatusError {
  const message = `${what}: its bytes do not have the CRC32C ${crc32c} that it was stored with: read it again; if it stays so, the object is damaged`;
  return new StatusError("DATA_LOSS", message);
}

function stuck({ what }: Reading, at: number, { giveUpMs }: Limits, cause: StatusError): StatusError {
  const message = `${what}: got no further than byte ${at} for ${giveUpMs / 1000} s. Last: ${cause.message}`;
  return new StatusError("UNAVAILABLE", message, { cause });
}
