import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Border, borderBytes, type RdbIndex } from "../../shared/rdb/border.ts";
import { checked } from "../../shared/rdb/check.ts";
import { crc64 } from "../../shared/rdb/crc64.ts";
import type { RdbEntry } from "../../shared/rdb/entry.ts";
import type { Stretch } from "../../shared/rdb/reader.ts";
import { records } from "../../shared/rdb/records.ts";
import { encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { anyFile } from "./any-file.ts";
import { cutAt, fileOfEverything, formats } from "./files.ts";

/** So far apart are borders noted, and there are the pieces in which the file arrives cut. */
const anyway = fc.record({ step: fc.integer({ min: 1, max: 500 }), cuts: fc.array(fc.nat({ max: 8_000 })) });

const piecesOf = (file: Uint8Array, cuts: readonly number[], from = 0, to = file.length): Iterable<Uint8Array> =>
  cutAt(
    file.subarray(from, to),
    [...cuts].filter((cut) => cut < to - from).sort((a, b) => a - b),
  );

async function indexOf(pieces: Iterable<Uint8Array>, step?: number): Promise<RdbIndex> {
  let index: RdbIndex | undefined;
  for await (const _ of checked(pieces, (_summary, told) => (index = told), { borderBytes: step }));
  if (index === undefined) throw new Error("nothing was told");
  return index;
}

async function entriesOf(pieces: Iterable<Uint8Array>, stretch?: Stretch): Promise<RdbEntry[]> {
  const found: RdbEntry[] = [];
  for await (const batch of records(pieces, { stretch }))
    for (const entry of batch)
      found.push(structuredClone(entry.kind === "record" ? { ...entry, value: entry.value?.slice() } : entry));
  return found;
}

/** The stretches from border to border, from the start to the end of the file. */
function stretchesOf({ borders, crc64: last }: RdbIndex, format: { magic: "REDIS" | "VALKEY"; rdbVersion: number }) {
  const start: Border = { offset: 0, database: 0, keys: 0, expires: 0, crc64: "0".repeat(16) };
  return [start, ...borders].map(({ offset, database, crc64: before }, n): Stretch => {
    const next = borders[n];
    const after = next?.crc64 ?? last;
    return {
      ...format,
      startOffset: offset,
      endOffset: next?.offset,
      db: database,
      crc64: { before: BigInt(`0x${before}`), after: BigInt(`0x${after}`) },
    };
  });
}

describe("the borders of any file", () => {
  it("are the same however it arrives, and count the keys before them", async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, anyway, async ({ file }, { step, cuts }) => {
        const index = await indexOf([file], step);
        expect(await indexOf(piecesOf(file, cuts), step)).toEqual(index);
        const { borders, crc64: sum } = index;
        expect(index).toMatchObject({ borderBytes: step, sizeBytes: file.length });
        const all = (await entriesOf([file])).filter((entry) => entry.kind === "record");
        for (const { offset, keys, expires, crc64: before } of borders) {
          const earlier = all.filter(({ valueEnd }) => valueEnd <= offset);
          expect(earlier.at(-1)?.valueEnd).toBe(offset);
          expect(keys).toBe(earlier.length);
          expect(expires).toBe(earlier.filter(({ expireTimeMs }) => expireTimeMs !== -1).length);
          expect(BigInt(`0x${before}`)).toBe(crc64(file.subarray(0, offset)));
        }
        expect(BigInt(`0x${sum}`)).toBe(crc64(file.subarray(0, -8)));
      }),
    );
  });

  it("are the first at or behind each step, but for the end of the last record", async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, anyway, async ({ file }, { step }) => {
        const ends = (await entriesOf([file])).flatMap((entry) => (entry.kind === "record" ? [entry.valueEnd] : []));
        const wanted = new Set<number>();
        for (let at = step; at < file.length; at += step) wanted.add(ends.find((end) => end >= at) ?? file.length);
        const { borders } = await indexOf([file], step);
        const inner = [...wanted].filter((offset) => offset < (ends.at(-1) ?? 0));
        expect(borders.map(({ offset }) => offset)).toEqual(inner);
      }),
    );
  });

  it("cut it into stretches that make the whole, each by its own checksum", async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, anyway, async ({ file, magic }, { step, cuts }) => {
        const index = await indexOf([file], step);
        const found: RdbEntry[] = [];
        for (const stretch of stretchesOf(index, formats[magic])) {
          const pieces = piecesOf(file, cuts, stretch.startOffset, stretch.endOffset);
          found.push(...(await entriesOf(pieces, stretch)));
        }
        expect(found).toEqual(await entriesOf([file]));
      }),
    );
  });
});

describe("a stretch with its checksums", () => {
  const file = fileOfEverything("VALKEY");
  const format = formats.VALKEY;

  it("is refused if a byte of it is not as it was, at its end too", async () => {
    const stretches = stretchesOf(await indexOf([file], 100), format);
    expect(stretches.length).toBeGreaterThan(4);
    for (const stretch of stretches) {
      const bytes = new Uint8Array(file.subarray(stretch.startOffset, stretch.endOffset));
      // The last byte before the footer is part of a value, or the opcode of the end.
      const at = stretch.endOffset === undefined ? bytes.length - 8 : bytes.length - 1;
      bytes[at] = (bytes[at] as number) ^ 1;
      await expect(entriesOf([bytes], stretch)).rejects.toMatchObject({ code: "DATA_LOSS" });
    }
  });

  it("that ends with the file needs no more than the footer", async () => {
    const { borders } = await indexOf([file], 100);
    const { offset, database: db, crc64: before } = borders.at(-1) as Border;
    const stretch = { ...format, startOffset: offset, db, crc64: { before: BigInt(`0x${before}`) } };
    const bytes = new Uint8Array(file.subarray(offset));
    expect((await entriesOf([bytes], stretch)).length).toBeGreaterThan(0);
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
    await expect(entriesOf([bytes], stretch)).rejects.toMatchObject({ code: "DATA_LOSS" });
  });
});

it("notes a border every 64 MiB unless told otherwise", async () => {
  const value = encodeString("v".repeat(2 ** 20));
  const items = Array.from(
    { length: 140 },
    (_, n): RdbItem => ({ kind: "record", db: 0, key: Buffer.from(`${n}`), type: 0, value }),
  );
  const { borders } = await indexOf([writeRdb(formats.REDIS, items)]);
  expect(borders.map(({ offset }) => Math.floor(offset / borderBytes))).toEqual([1, 2]);
});
