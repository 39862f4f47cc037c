import { open, rm } from "node:fs/promises";
import { type Call, param, type Reply, readJsonBody, type Storage } from "./call.ts";
import { encodeCrc32c, md5OfFile, readHashHeader } from "./checksum.ts";
import { newId } from "./disk.ts";
import { invalid, unimplemented } from "./error.ts";
import { readMultipart } from "./multipart.ts";
import { checkObjectName, objectResource, patchSettings, readObjectPatch, type StoredObject } from "./object.ts";
import { readPreconditions, wholeNumber } from "./precondition.ts";
import { type Progress, receive } from "./receive.ts";
import type { Upload } from "./session.ts";

/** Objects up to this size get an MD5 without being asked; it is read back from the disk, at some 600 MB/s. */
const smallBytes = 8 << 20;

/** `POST /upload/…/o`: begins a resumable session, or takes a whole object in one request. */
export async function startUpload(storage: Storage, call: Call): Promise<Reply> {
  const type = call.query.get("uploadType");
  if (type === "resumable") return startSession(storage, call);
  if (type === "multipart") return uploadMultipart(storage, call);
  if (type === "media") return uploadMedia(storage, call);
  throw type === null ? invalid("Required parameter uploadType is missing") : unimplemented(`uploadType=${type}`);
}

async function startSession(storage: Storage, call: Call): Promise<Reply> {
  const { headers } = call.request;
  const upload = readUpload(call, await readJsonBody(call.body), headers["x-upload-content-type"]);
  storage.catalogue.admit(upload.bucket, upload.name, upload.preconditions);
  const length = headers["x-upload-content-length"];
  const announced = length === undefined ? undefined : wholeNumber("X-Upload-Content-Length", String(length));
  const { id } = storage.sessions.start(upload, announced).stored;
  const query = new URLSearchParams({ uploadType: "resumable", name: upload.name, upload_id: id });
  const location = `http://${headers.host}/upload/storage/v1/b/${upload.bucket}/o?${query}`;
  return { status: 200, headers: { location, "x-guploader-uploadid": id } };
}

async function uploadMultipart(storage: Storage, call: Call): Promise<Reply> {
  const { metadata, contentType, media } = await readMultipart(call.body, call.request.headers["content-type"]);
  return storeWhole(storage, readUpload(call, metadata, contentType), media);
}

async function uploadMedia(storage: Storage, call: Call): Promise<Reply> {
  return storeWhole(storage, readUpload(call, undefined, call.request.headers["content-type"]), call.body);
}

function readUpload(call: Call, body: unknown, contentType: string | string[] | undefined): Upload {
  const resource = (body ?? {}) as { name?: unknown; crc32c?: unknown; md5Hash?: unknown };
  const name = call.query.get("name") ?? resource.name;
  if (typeof name !== "string") throw invalid("Required object name is missing");
  checkObjectName(name);
  const { crc32c, md5Hash } = resource;
  const stated = { ...(typeof crc32c === "string" && { crc32c }), ...(typeof md5Hash === "string" && { md5Hash }) };
  const settings = patchSettings({}, readObjectPatch(body));
  const contentEncoding = call.query.get("contentEncoding");
  if (contentEncoding !== null) settings.contentEncoding = contentEncoding;
  if (settings.contentType === undefined && typeof contentType === "string") settings.contentType = contentType;
  return {
    bucket: param(call, "bucket"),
    name,
    settings,
    expected: [stated, readHashHeader(call.request.headers["x-goog-hash"])],
    preconditions: readPreconditions(call.query),
  };
}

async function storeWhole(storage: Storage, upload: Upload, media: AsyncIterable<Buffer>): Promise<Reply> {
  storage.catalogue.admit(upload.bucket, upload.name, upload.preconditions);
  const id = newId();
  try {
    await using file = await open(storage.disk.bytes(id), "wx");
    const progress = await receive(media, file, { position: 0, crc: 0 });
    const object = await finishUpload(storage, upload, id, progress);
    return { status: 200, json: objectResource(object, storage.catalogue.bucket(object.bucket), storage.baseUrl) };
  } catch (error) {
    await rm(storage.disk.bytes(id), { force: true });
    throw error;
  }
}

/** Makes an object of bytes that are complete, if they are what the client said and its preconditions still hold. */
export async function finishUpload(
  storage: Storage,
  upload: Upload,
  id: string,
  bytes: Progress,
): Promise<StoredObject> {
  const { bucket, name, settings, expected, preconditions } = upload;
  const crc32c = encodeCrc32c(bytes.crc);
  for (const { crc32c: stated = crc32c } of expected) refuseMismatch("CRC32C", stated, crc32c);
  const wantsMd5 = bytes.position <= smallBytes || expected.some((checksums) => checksums.md5Hash !== undefined);
  const md5Hash = wantsMd5 ? await md5OfFile(storage.disk.bytes(id)) : undefined;
  for (const { md5Hash: stated = md5Hash } of expected) refuseMismatch("MD5", stated, md5Hash);
  return storage.catalogue.commit(
    { bucket, name, bytes: id, sizeBytes: bytes.position, crc32c, md5Hash, settings },
    preconditions,
  );
}

function refuseMismatch(kind: string, stated: string | undefined, actual: string | undefined): void {
  if (stated !== actual) throw invalid(`Provided ${kind} "${stated}" doesn't match calculated ${kind} "${actual}".`);
}
