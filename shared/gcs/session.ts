import { StatusError } from "../error.ts";
import { isTransient, readRefusal, refused } from "./error.ts";
import { attempted, type Connections, type Response, sendForText } from "./http.ts";
import { createPatience, type Limits } from "./patience.ts";

/** A resumable upload that was begun. https://cloud.google.com/storage/docs/performing-resumable-uploads */
export interface Session {
  /** What errors call it. */
  what: string;
  /** Whoever has it may write: it needs no credentials. */
  uri: string;
  connections: Connections;
  limits: Limits;
}

/** What the last chunk tells beside its bytes. */
export interface Ending {
  totalBytes: number;
  /** The server refuses to make an object of other bytes. Base64. */
  crc32c: string;
}

/** Where the server says that the upload stands; unknown after a failure that another attempt may mend. */
type Standing =
  | { kind: "open"; receivedBytes: number }
  | { kind: "finished"; resource: string }
  | { kind: "unknown"; error: StatusError };

/**
 * Sends the bytes from `start` on, and answers the object's JSON resource if they were the last. After a failure it asks
 * the server how far it has come and goes on from there: the server's word is the truth, and one that lies outside of
 * these bytes is the end (UNAVAILABLE). A finish whose answer was lost is found so too.
 */
export async function sendChunk(
  session: Session,
  start: number,
  bytes: Uint8Array,
  ending: Ending | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const end = start + bytes.length;
  const patience = createPatience(session.limits);
  let at = start;
  let taken = start;
  const onProgress = (from: number) => (count: number) => {
    if (from + count <= taken) return;
    taken = from + count;
    patience.progress();
  };
  for (let next: "put" | "ask" = "put"; ; ) {
    const standing: Standing =
      next === "put"
        ? await put(session, at, bytes.subarray(at - start), ending, onProgress(at), signal)
        : await exchange(session, { "content-range": "bytes */*" }, signal);
    if (standing.kind === "finished") return finished(session, standing.resource, ending);
    let moved = false;
    if (standing.kind === "open") {
      const { receivedBytes } = standing;
      if (receivedBytes < start || receivedBytes > end) throw lost(session, receivedBytes, start, end);
      if (receivedBytes === end && ending === undefined) return undefined;
      moved = receivedBytes > at || next === "ask";
      if (receivedBytes > at) patience.progress();
      at = receivedBytes;
    }
    next = standing.kind === "open" ? "put" : "ask";
    if (moved) continue;
    if (patience.isOver()) throw stuck(session, at, standing);
    await patience.pause(signal);
  }
}

/** Takes the upload back: its bytes go, its URI is void. Whatever comes of it, the session would end by itself in a week. */
export async function cancelSession(session: Session): Promise<void> {
  const { what, uri, connections } = session;
  const stallMs = 2_000;
  const request = { what, method: "DELETE", url: uri, headers: {}, connections, stallMs, signal: undefined } as const;
  await attempted(sendForText(request), undefined);
}

function put(
  session: Session,
  at: number,
  bytes: Uint8Array,
  ending: Ending | undefined,
  onProgress: (count: number) => void,
  signal: AbortSignal,
): Promise<Standing> {
  // Without bytes, and with the total, this asks for the finish of what is there.
  const range = bytes.length === 0 ? "*" : `${at}-${at + bytes.length - 1}`;
  const headers: Record<string, string> = { "content-range": `bytes ${range}/${ending?.totalBytes ?? "*"}` };
  if (ending !== undefined) headers["x-goog-hash"] = `crc32c=${ending.crc32c}`;
  return exchange(session, headers, signal, { body: bytes, onProgress });
}

async function exchange(
  { what, uri: url, connections, limits: { stallMs } }: Session,
  headers: Record<string, string>,
  signal: AbortSignal,
  sending: { body?: Uint8Array; onProgress?: (count: number) => void } = {},
): Promise<Standing> {
  const request = { what, method: "PUT", url, headers, connections, stallMs, signal, ...sending } as const;
  const response = await attempted(sendForText(request), signal);
  return response instanceof StatusError ? { kind: "unknown", error: response } : readStanding(what, response);
}

function readStanding(what: string, { status, headers, text }: Response & { text: string }): Standing {
  if (status === 200 || status === 201) return { kind: "finished", resource: text };
  if (status === 308) {
    // No header: nothing has been kept.
    const last = /^bytes=0-(\d+)$/.exec(headers.range ?? "")?.[1];
    return { kind: "open", receivedBytes: last === undefined ? 0 : Number(last) + 1 };
  }
  const refusal = readRefusal(status, text);
  const error = refused(what, refusal);
  if (isTransient(refusal)) return { kind: "unknown", error };
  throw error;
}

function finished(session: Session, resource: string, ending: Ending | undefined): string {
  if (ending !== undefined) return resource;
  throw new StatusError("UNKNOWN", `${session.what}: Cloud Storage finished the object before its last chunk was sent`);
}

function lost({ what }: Session, receivedBytes: number, start: number, end: number): StatusError {
  const message = `${what}: Cloud Storage has ${receivedBytes} bytes, expected ${start} to ${end}: upload it again`;
  return new StatusError("UNAVAILABLE", message);
}

function stuck({ what, limits }: Session, at: number, standing: Standing): StatusError {
  const message = `${what}: the upload got no further than byte ${at} for ${limits.giveUpMs / 1000} s: upload it again`;
  if (standing.kind !== "unknown") return new StatusError("UNAVAILABLE", message);
  return new StatusError("UNAVAILABLE", `${message}. Last: ${standing.error.message}`, { cause: standing.error });
}
