import { StatusError } from "../../shared/error.ts";
import type { Magic } from "../../shared/rdb/family.ts";
import { RdbReader } from "../../shared/rdb/reader.ts";
import type { RdbSummary } from "../../shared/rdb/summary.ts";
import { type RdbFileOptions, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { opcodes, type Sample, samples } from "./values.ts";

export const formats = {
  REDIS: { magic: "REDIS", rdbVersion: 12 },
  VALKEY: { magic: "VALKEY", rdbVersion: 80 },
} as const;

/** A record of each sample, with every prefix that a key can have, in two databases, and every opcode. */
export function itemsOfEverything(magic: Magic, chosen: readonly Sample[] = samples[magic]): RdbItem[] {
  const records = chosen.map(
    ({ type, value }, i): RdbItem => ({
      kind: "record",
      db: i < 5 ? 0 : 9,
      key: Buffer.from(`key ${i}`),
      type,
      value,
      expireTimeMs: i % 3 === 0 ? 1_893_456_000_000 + i : -1,
      idleSeconds: i % 4 === 0 ? 100 * i : undefined,
      freq: i % 4 === 1 ? i : undefined,
    }),
  );
  return [
    { kind: "aux", name: "redis-ver", value: "7.2.4" },
    ...records.slice(0, 8),
    { kind: "raw", bytes: opcodes[magic] },
    ...records.slice(8),
  ];
}

/** A file of everything that a family knows. Without the large sample it is small enough to be cut at every byte. */
export function fileOfEverything(
  magic: Magic,
  options: Partial<RdbFileOptions> & { isSmall?: boolean } = {},
): Uint8Array {
  const chosen = samples[magic].filter(({ value }) => options.isSmall !== true || value.length < 1000);
  return writeRdb({ ...formats[magic], ...options }, itemsOfEverything(magic, chosen));
}

export function readAll(chunks: Iterable<Uint8Array>): RdbSummary {
  const reader = new RdbReader();
  for (const chunk of chunks) reader.write(chunk);
  return reader.end();
}

/** What reading these chunks throws. */
export const failure = (chunks: Iterable<Uint8Array>): StatusError => thrownBy(() => readAll(chunks));

/** What reading a file throws, which must be a StatusError. */
export function thrownBy(read: () => unknown): StatusError {
  try {
    read();
  } catch (error) {
    if (error instanceof StatusError) return error;
    throw error;
  }
  throw new Error("the file was read without an error");
}

/** The file in pieces that end at these offsets. */
export function* cutAt(file: Uint8Array, offsets: readonly number[]): Generator<Uint8Array> {
  let from = 0;
  for (const to of [...offsets, file.length]) {
    // A copy that is wiped behind the reader, as a source that reuses its buffer would. A Buffer's `slice` copies nothing.
    const chunk = Buffer.from(file.subarray(from, to));
    yield chunk;
    chunk.fill(0xee);
    from = to;
  }
}

export function randomCuts(length: number, count: number, random: () => number): number[] {
  return Array.from({ length: count }, () => Math.floor(random() * length)).sort((a, b) => a - b);
}
