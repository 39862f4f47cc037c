import { StatusError } from "../error.ts";

/** `b/BUCKET/o/OBJECT` of a URL, and a refusal of what is not an object's name: `.` and `..` would lead elsewhere. */
export function objectPath(bucket: string, object: string): string {
  assertObjectName(object);
  return `b/${encodeURIComponent(bucket)}/o/${encodeURIComponent(object)}`;
}

/** https://cloud.google.com/storage/docs/objects#naming: 1 to 1,024 bytes, no line breaks, not `.` or `..`. INVALID_ARGUMENT. */
export function assertObjectName(object: string): void {
  const sizeBytes = Buffer.byteLength(object);
  if (sizeBytes >= 1 && sizeBytes <= 1024 && !/[\r\n]/.test(object) && object !== "." && object !== "..") return;
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed object name ${JSON.stringify(object.slice(0, 100))}: expected 1 to 1024 bytes without line breaks`,
  );
}
