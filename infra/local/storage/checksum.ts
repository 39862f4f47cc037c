import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { crc32c } from "@node-rs/crc32";
import { invalid } from "./error.ts";

/** What a client says the whole object's checksums are, in base64. */
export interface ExpectedChecksums {
  crc32c?: string;
  md5Hash?: string;
}

/** A CRC32C as the API writes it: big-endian, base64. */
export function encodeCrc32c(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes.toString("base64");
}

/** Reads `X-Goog-Hash: crc32c=…,md5=…`, once or repeated; other hashes are refused rather than passed over. */
export function readHashHeader(header: string | string[] | undefined): ExpectedChecksums {
  const expected: ExpectedChecksums = {};
  const parts = [header ?? []].flat().flatMap((line) => line.split(","));
  for (const part of parts) {
    const [, name, value] = /^\s*(crc32c|md5)=([A-Za-z0-9+/]+={0,2})\s*$/.exec(part) ?? [];
    if (name === undefined || value === undefined) throw invalid(`Invalid X-Goog-Hash header: "${part}"`);
    expected[name === "md5" ? "md5Hash" : "crc32c"] = value;
  }
  return expected;
}

/** Continues the CRC32C of a file from `start`, where it was `value`, up to `end`. */
export async function crc32cOfFile(path: string, value: number, start: number, end: number): Promise<number> {
  if (start === end) return value;
  let crc = value;
  for await (const chunk of createReadStream(path, { start, end: end - 1, highWaterMark: 1 << 20 }))
    crc = crc32c(chunk, crc);
  return crc;
}

/** The MD5 of a file in base64, by reading it: MD5 is too slow to be computed for every upload on the way. */
export async function md5OfFile(path: string): Promise<string> {
  const hash = createHash("md5");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return hash.digest("base64");
}
