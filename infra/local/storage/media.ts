import { closeSync, openSync, read } from "node:fs";
import { promisify } from "node:util";
import { StatusError } from "../../../shared/error.ts";
import { type Call, param, type Reply, type Storage } from "./call.ts";
import { ApiError, unimplemented } from "./error.ts";
import { etag, type StoredObject } from "./object.ts";
import { checkPreconditions, isUnchanged, readPreconditions, wholeNumber } from "./precondition.ts";
import { readRange } from "./range.ts";

const readBytes = promisify(read);

/** Two buffers of this size are all that an answer takes: one is filled while the other is sent. */
const bufferBytes = 512 * 1024;

/** The object that a read asks for, if its preconditions hold; undefined if it is unchanged (304). */
export function findForReading(storage: Storage, call: Call): StoredObject | undefined {
  const generation = call.query.get("generation");
  const wanted = generation === null ? undefined : wholeNumber("generation", generation);
  const object = storage.catalogue.get(param(call, "bucket"), param(call, "object"), wanted);
  const { GenerationNotMatch, MetagenerationNotMatch, ...matches } = readPreconditions(call.query);
  checkPreconditions(matches, object);
  const notMatches = {
    ...(GenerationNotMatch !== undefined && { GenerationNotMatch }),
    ...(MetagenerationNotMatch !== undefined && { MetagenerationNotMatch }),
  };
  return isUnchanged(notMatches, object) ? undefined : object;
}

/** `GET …/o/O?alt=media`: an object's bytes, or a range of them, with the headers that clients validate them by. */
export function readMedia(storage: Storage, call: Call): Reply {
  const object = findForReading(storage, call);
  if (object === undefined) return { status: 304 };
  const { contentEncoding } = object.settings;
  const accepted = String(call.request.headers["accept-encoding"] ?? "");
  if (contentEncoding === "gzip" && !accepted.includes("gzip")) throw unimplemented("decompressive transcoding");
  const range = readRange(call.request.headers.range, object.sizeBytes);
  if (range === undefined)
    throw new ApiError(416, "requestedRangeNotSatisfiable", "The requested range cannot be satisfied.");
  const { start, end, isPart } = range;
  // Opened in the same step in which it was found, so that no delete can come between.
  const file = openSync(storage.disk.bytes(object.bytes), "r");
  return {
    status: isPart ? 206 : 200,
    headers: {
      ...mediaHeaders(object),
      "content-length": String(end - start),
      ...(isPart && { "content-range": `bytes ${start}-${end - 1}/${object.sizeBytes}` }),
    },
    body: readFileBytes(file, start, end),
  };
}

function mediaHeaders(object: StoredObject): Record<string, string> {
  const { contentType, contentEncoding, contentDisposition, contentLanguage, cacheControl } = object.settings;
  const md5 = object.md5Hash === undefined ? "" : `,md5=${object.md5Hash}`;
  return {
    "content-type": contentType ?? "application/octet-stream",
    "accept-ranges": "bytes",
    "last-modified": new Date(object.updateTime).toUTCString(),
    etag: `"${etag(object)}"`,
    "x-goog-hash": `crc32c=${object.crc32c}${md5}`,
    "x-goog-generation": String(object.generation),
    "x-goog-metageneration": String(object.metageneration),
    "x-goog-stored-content-encoding": contentEncoding ?? "identity",
    "x-goog-stored-content-length": String(object.sizeBytes),
    ...(contentEncoding !== undefined && { "content-encoding": contentEncoding }),
    ...(contentDisposition !== undefined && { "content-disposition": contentDisposition }),
    ...(contentLanguage !== undefined && { "content-language": contentLanguage }),
    ...(cacheControl !== undefined && { "cache-control": cacheControl }),
  };
}

/**
 * The bytes [start, end) of an open file, which is closed at the end. Only the two newest chunks are valid at a time:
 * their buffers are used again.
 */
async function* readFileBytes(file: number, start: number, end: number): AsyncGenerator<Buffer> {
  const size = Math.min(bufferBytes, end - start);
  const buffers = [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)] as const;
  try {
    for (let position = start, turn = 0; position < end; turn++) {
      const buffer = turn % 2 === 0 ? buffers[0] : buffers[1];
      const { bytesRead } = await readBytes(file, buffer, 0, Math.min(size, end - position), position);
      if (bytesRead === 0) throw new StatusError("DATA_LOSS", "the stored bytes are shorter than the object");
      yield buffer.subarray(0, bytesRead);
      position += bytesRead;
    }
  } finally {
    closeSync(file);
  }
}
