import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { type Call, param, type Reply, type Storage } from "./call.ts";
import { readHashHeader } from "./checksum.ts";
import { ApiError, invalid } from "./error.ts";
import { objectResource } from "./object.ts";
import { type ContentRange, readContentRange } from "./range.ts";
import { receive } from "./receive.ts";
import { quantum, type Session, wholeQuanta } from "./session.ts";
import { finishUpload } from "./upload.ts";

type BytesRange = Extract<ContentRange, { kind: "bytes" }>;

/** `PUT /upload/…/o?upload_id=…`: a chunk, the rest of the object, or the question how far it has come. */
export async function continueUpload(storage: Storage, call: Call): Promise<Reply> {
  const session = findSession(storage, call);
  const release = await storage.sessions.claim(session, () => call.request.destroy());
  try {
    if (session.stored.outcome !== undefined) return answerAgain(session.stored.outcome);
    const range = readContentRange(call.request.headers["content-range"]);
    const isWhole =
      range.kind === "query" ? range.total === session.received : await append(storage, session, call, range);
    return isWhole ? await complete(storage, session, call) : incomplete(session);
  } finally {
    release();
  }
}

/** `DELETE /upload/…/o?upload_id=…`: the client gives up. 499 is what Cloud Storage answers then. */
export async function cancelUpload(storage: Storage, call: Call): Promise<Reply> {
  const session = findSession(storage, call);
  const release = await storage.sessions.claim(session, () => call.request.destroy());
  storage.sessions.drop(session);
  release();
  return { status: 499 };
}

function findSession(storage: Storage, call: Call): Session {
  const id = call.query.get("upload_id");
  if (id === null) throw invalid("Required parameter upload_id is missing");
  const session = storage.sessions.get(id);
  if (session.stored.bucket !== param(call, "bucket")) throw invalid("The upload session belongs to another bucket");
  return session;
}

function answerAgain(outcome: NonNullable<Session["stored"]["outcome"]>): Reply {
  if ("resource" in outcome) return { status: 200, json: outcome.resource };
  throw new ApiError(outcome.status, outcome.reason, outcome.message);
}

function incomplete({ received }: Session): Reply {
  return { status: 308, headers: received > 0 ? { range: `bytes=0-${received - 1}` } : {} };
}

/** Adds a request's body to the session; true if the object is whole with it. */
async function append(storage: Storage, session: Session, call: Call, range: BytesRange): Promise<boolean> {
  const { sessions, disk } = storage;
  const end = checkRange(session, call, range);
  const isLast = range.last === undefined || range.last + 1 === end.object;
  const start = session.received;
  const path = disk.bytes(session.stored.id);
  try {
    await using file = await open(path, "r+");
    const body = newBytes(call.body, range.first, start, end.body);
    const progress = await receive(body, file, await sessions.check(session));
    if (isLast || progress.position === wholeQuanta(progress.position)) session.checked = progress;
    session.received = progress.position;
  } catch (error) {
    sessions.keep(session, error instanceof ApiError ? start : Math.max(start, wholeQuanta(statSync(path).size)));
    throw error;
  }
  if (!isLast) sessions.keep(session, Math.max(start, wholeQuanta(session.received)));
  return isLast;
}

/** Refuses a range that does not continue the session. Answers where the body and the object must end, where known. */
function checkRange({ stored, received }: Session, call: Call, range: BytesRange): { body?: number; object?: number } {
  const { first, last, total } = range;
  const length = call.request.headers["content-length"];
  const object = total ?? stored.announcedBytes;
  if (first > received)
    throw invalid(
      `The chunk starts at byte ${first}, but only ${received} bytes were received; query the session's status and go on from there`,
    );
  if (object !== stored.announcedBytes && stored.announcedBytes !== undefined) {
    throw invalid(`The object's size is ${total} bytes here and was announced as ${stored.announcedBytes}`);
  }
  const reached = last === undefined ? first : last + 1;
  if (object !== undefined && object < Math.max(received, reached)) {
    throw invalid(`The object's size is ${object} bytes, but the upload reaches beyond it`);
  }
  const body = last === undefined ? object : last + 1;
  const bytes = body === undefined ? undefined : body - first;
  if (length !== undefined && bytes !== undefined && Number(length) !== bytes)
    throw wrongLength(Number(length), bytes, first);
  if (last !== undefined && last + 1 !== object && last + 1 - first < quantum) {
    throw invalid(
      `Invalid request. The number of bytes uploaded is required to be equal or greater than ${quantum}, except for the final request (it's recommended to be the exact multiple of ${quantum}). The received request contained ${last + 1 - first} bytes, which does not meet this requirement.`,
    );
  }
  return { ...(body !== undefined && { body }), ...(object !== undefined && { object }) };
}

/** The part of a body that the session does not have yet; the body starts at byte `first` and must stop at `end`. */
async function* newBytes(body: AsyncIterable<Buffer>, first: number, have: number, end: number | undefined) {
  let position = first;
  for await (const chunk of body) {
    position += chunk.length;
    if (end !== undefined && position > end) throw wrongLength(position - first, end - first, first);
    const isNew = position - have;
    if (isNew > 0) yield isNew < chunk.length ? chunk.subarray(chunk.length - isNew) : chunk;
  }
  if (end !== undefined && position !== end) throw wrongLength(position - first, end - first, first);
}

function wrongLength(found: number, expected: number, first: number): ApiError {
  return invalid(
    `Invalid request. There were ${found} byte(s) in the request body. There should have been ${expected} byte(s) (starting at offset ${first}) according to the Content-Range header.`,
  );
}

async function complete(storage: Storage, session: Session, call: Call): Promise<Reply> {
  const { catalogue, sessions } = storage;
  const { id, expected, ...upload } = session.stored;
  try {
    const header = readHashHeader(call.request.headers["x-goog-hash"]);
    const bytes = await sessions.check(session);
    const object = await finishUpload(storage, { ...upload, expected: [...expected, header] }, id, bytes);
    const resource = objectResource(object, catalogue.bucket(object.bucket), storage.baseUrl);
    sessions.end(session, { resource });
    return { status: 200, json: resource };
  } catch (error) {
    if (error instanceof ApiError) sessions.end(session, error);
    throw error;
  }
}
