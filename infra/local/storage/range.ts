import { invalid } from "./error.ts";

/** What a resumable PUT's `Content-Range` says. */
export type ContentRange =
  /** `bytes *​/*` or `bytes *​/TOTAL`: no bytes here, where are we? */
  | { kind: "query"; total: number | undefined }
  /**
   * `bytes FIRST-LAST/TOTAL`, of which LAST and TOTAL may be `*`; without LAST the body goes on to the object's end. The
   * client library names an empty object's only chunk `0--1/0`.
   */
  | { kind: "bytes"; first: number; last: number | undefined; total: number | undefined };

/** Reads `Content-Range`; without the header the body is the whole object. */
export function readContentRange(header: string | undefined): ContentRange {
  if (header === undefined) return { kind: "bytes", first: 0, last: undefined, total: undefined };
  const match = /^bytes (?:(\*)|(\d+)-(-1|\d+|\*))\/(\d+|\*)$/.exec(header.trim());
  if (match === null) throw invalid(`Invalid Content-Range header: "${header}"`);
  const [, star, first, last, size] = match;
  const total = size === "*" ? undefined : Number(size);
  if (star !== undefined) return { kind: "query", total };
  const range = { kind: "bytes", first: Number(first), last: last === "*" ? undefined : Number(last), total } as const;
  const end = range.last ?? range.first - 1;
  if (end < range.first - 1 || (total !== undefined && end >= total))
    throw invalid(`Invalid Content-Range header: "${header}"`);
  return range;
}

/** The part of `size` bytes that a `Range` header asks for, as [start, end); undefined if there is no such part. */
export function readRange(
  header: string | undefined,
  size: number,
): { start: number; end: number; isPart: boolean } | undefined {
  const whole = { start: 0, end: size, isPart: false };
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  // A header that is not understood is ignored, several ranges too (RFC 9110, 14.2).
  if (first === undefined || last === undefined || (first === "" && last === "")) return whole;
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length === 0 ? undefined : { start: size - length, end: size, isPart: true };
  }
  if (last !== "" && Number(last) < Number(first)) return whole;
  if (Number(first) >= size) return undefined;
  return { start: Number(first), end: last === "" ? size : Math.min(Number(last) + 1, size), isPart: true };
}
