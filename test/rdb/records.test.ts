import { describe, expect, it } from "vitest";
import { crc64 } from "../../shared/rdb/crc64.ts";
import type { RdbEntry, RdbRecord } from "../../shared/rdb/entry.ts";
import type { Magic } from "../../shared/rdb/family.ts";
import type { Checkpoint } from "../../shared/rdb/reader.ts";
import { type RecordsOptions, records } from "../../shared/rdb/records.ts";
import type { RdbSummary } from "../../shared/rdb/summary.ts";
import { encodeLength, encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { seeded } from "../fixture/seeded.ts";
import { cutAt, fileOfEverything, formats, itemsOfEverything, randomCuts, readAll } from "./files.ts";
import { cat, lzfOfTenAs } from "./values.ts";

const magics: Magic[] = ["REDIS", "VALKEY"];

/** All entries, copied while they are valid. */
async function entriesOf(chunks: Iterable<Uint8Array>, options?: RecordsOptions): Promise<RdbEntry[]> {
  const entries: RdbEntry[] = [];
  for await (const batch of records(chunks, options)) entries.push(...batch.map(copied));
  return entries;
}

function copied(entry: RdbEntry): RdbEntry {
  if (entry.kind === "function") return { ...entry, code: Uint8Array.from(entry.code) };
  return { ...entry, key: Uint8Array.from(entry.key), value: entry.value && Uint8Array.from(entry.value) };
}

/** Entries as text: quickly compared. */
function textOf(entries: RdbEntry[]): string {
  return JSON.stringify(entries, (_, value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
  );
}

const recordsOf = async (...args: Parameters<typeof entriesOf>): Promise<RdbRecord[]> =>
  (await entriesOf(...args)).filter((entry) => entry.kind === "record");

/** What is not its key. */
const string = { kind: "record", type: 0, value: encodeString("value") } as const;

const redis = (...items: RdbItem[]): Uint8Array => writeRdb(formats.REDIS, items);
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

describe.each(magics)("the records of a %s file", (magic) => {
  const file = fileOfEverything(magic);

  it("are what was written, with their expiry, access time and frequency", async () => {
    const written = itemsOfEverything(magic).flatMap((item) => (item.kind === "record" ? [item] : []));
    const found = await recordsOf([file]);
    expect(found.map(({ kind, offset, valueStart, valueEnd, ...record }) => record)).toEqual(
      written.map(({ kind, ...record }) => ({
        ...record,
        key: Uint8Array.from(record.key),
        value: Uint8Array.from(record.value ?? []),
      })),
    );
  });

  it("are the same however the chunks fall, even if their memory is used again", async () => {
    const whole = textOf(await entriesOf([file]));
    const everywhere = Array.from({ length: file.length }, (_, i) => i);
    expect(textOf(await entriesOf(cutAt(file, everywhere)))).toBe(whole);
    for (let seed = 0; seed < 60; seed++) {
      const random = seeded(seed);
      const cuts = randomCuts(file.length, Math.ceil(random() ** 3 * 300), random);
      expect(textOf(await entriesOf(cutAt(file, cuts))), `seed ${seed}`).toBe(whole);
    }
  });

  it("say where their values stand in the file", async () => {
    for (const { type, key, value, offset, valueStart, valueEnd } of await recordsOf([file])) {
      const before = valueStart - encodeString(key).length - 1;
      expect(file[before]).toBe(type);
      expect(offset).toBeLessThanOrEqual(before);
      expect(Buffer.compare(file.subarray(valueStart, valueEnd), value ?? new Uint8Array(0))).toBe(0);
    }
  });

  it("can be read on from any record", async () => {
    const all = await recordsOf([file]);
    for (const [i, { offset, db }] of all.entries()) {
      const stretch = { ...formats[magic], startOffset: offset, db };
      expect(await recordsOf(cutAt(file.subarray(offset), [1, 5, 90]), { stretch })).toEqual(all.slice(i));
    }
  });

  it("can be read from one record to another", async () => {
    const all = await recordsOf([file]);
    for (const [i, first] of all.entries()) {
      const last = all[Math.min(i + 3, all.length - 1)] ?? first;
      const { offset: startOffset, db } = first;
      const endOffset = last.valueEnd;
      const stretch = { ...formats[magic], startOffset, endOffset, db };
      const found = await recordsOf(cutAt(file.subarray(startOffset, endOffset), [3]), { stretch });
      expect(found).toEqual(all.slice(i, i + 4));
    }
  });

  it("make the same file again", async () => {
    const again = writeRdb(formats[magic], await recordsOf([file]));
    expect(readAll([again]).databases).toEqual(readAll([file]).databases);
  });
});

describe("records", () => {
  it("have their keys expanded", async () => {
    const value = encodeString("v");
    const keys = [[0xc0, 0x80], [0xc1, 0x34, 0x12], [0xc2, 0xff, 0xff, 0xff, 0x7f], lzfOfTenAs, [0x40, 1, 0x61]];
    const file = redis(...keys.map((key): RdbItem => ({ kind: "raw", bytes: cat([0], key, value) })));
    const expected = ["-128", "4660", "2147483647", "aaaaaaaaaa", "a"];
    expect((await recordsOf([file])).map(({ key }) => text(key))).toEqual(expected);
  });

  it("have an expiry in seconds as milliseconds, and one before 1970 as it is", async () => {
    const seconds = cat([253, 0, 0, 0, 0x70], [0, 1, 0x61, 1, 0x62]);
    const negative = {
      kind: "record",
      key: Buffer.from("b"),
      type: 0,
      value: encodeString(""),
      expireTimeMs: -5,
    } as const;
    const found = await recordsOf([redis({ kind: "raw", bytes: seconds }, negative)]);
    expect(found.map(({ expireTimeMs }) => expireTimeMs)).toEqual([0x70000000 * 1000, -5]);
  });

  it("over the limit come with their place only, in one chunk or many", async () => {
    const value = encodeString("x".repeat(5000));
    const large: RdbItem = { kind: "record", key: Buffer.from("large"), type: 0, value };
    const small: RdbItem = {
      kind: "record",
      key: Buffer.from("small"),
      type: 0,
      value: encodeString("y".repeat(4000)),
    };
    const file = redis(large, small, large);
    for (const cuts of [[], [2000, 2100, 6000], Array.from({ length: 100 }, (_, i) => 100 * i)]) {
      const found = await recordsOf(cutAt(file, cuts), { limitBytes: 4500 });
      expect(found.map((record) => record.value?.length)).toEqual([undefined, 4002, undefined]);
      for (const { value: kept, valueStart, valueEnd } of found) {
        if (kept === undefined) expect(Buffer.compare(file.subarray(valueStart, valueEnd), value)).toBe(0);
      }
    }
  });

  it("keep values without the limit's bytes out of the limit's way", async () => {
    const value = encodeString("x".repeat(998));
    const file = redis({ kind: "record", key: Buffer.from("k"), type: 0, value });
    expect((await recordsOf([file], { limitBytes: 1000 }))[0]?.value).toHaveLength(1000);
    expect((await recordsOf([file], { limitBytes: 999 }))[0]?.value).toBeUndefined();
  });

  it("come with function libraries, expanded", async () => {
    const plain: RdbItem = { kind: "function", code: Buffer.from("#!lua name=a") };
    const found = await entriesOf([redis(plain, { kind: "raw", bytes: cat([245], lzfOfTenAs) })]);
    expect(found.map((entry) => entry.kind === "function" && text(entry.code))).toEqual(["#!lua name=a", "aaaaaaaaaa"]);
  });

  it("end with a summary", async () => {
    let summary: RdbSummary | undefined;
    const file = fileOfEverything("REDIS");
    await entriesOf([file], { onSummary: (told) => (summary = told) });
    expect(summary).toEqual(readAll([file]));
  });

  it("end with the checksum's verdict", async () => {
    const file = fileOfEverything("REDIS");
    file[file.length - 1] = (file[file.length - 1] as number) ^ 1;
    await expect(entriesOf([file])).rejects.toMatchObject({ code: "DATA_LOSS", offset: file.length - 8 });
  });

  it("are checked in a stretch by the running CRC64 before and after it, and by the footer at the end", async () => {
    const file = redis(...["a", "b", "c"].map((key): RdbItem => ({ ...string, key: Buffer.from(key) })));
    const [, second] = await recordsOf([file]);
    const { offset: startOffset, valueEnd: endOffset } = second as RdbRecord;
    const before = crc64(file.subarray(0, startOffset));
    const after = crc64(file.subarray(0, endOffset));
    const inside = { ...formats.REDIS, startOffset, endOffset, db: 0, crc64: { before, after } };
    const toTheEnd = { ...formats.REDIS, startOffset, db: 0, crc64: { before } };
    const readInside = (bytes: Uint8Array) => entriesOf([bytes.subarray(startOffset, endOffset)], { stretch: inside });
    const readToTheEnd = (bytes: Uint8Array) =>
      entriesOf(cutAt(bytes.subarray(startOffset), [2]), { stretch: toTheEnd });
    expect(await readInside(file)).toHaveLength(1);
    expect(await readToTheEnd(file)).toHaveLength(2);
    file[endOffset - 1] = (file[endOffset - 1] as number) ^ 1;
    await expect(readInside(file)).rejects.toMatchObject({ code: "DATA_LOSS", offset: endOffset });
    await expect(readToTheEnd(file)).rejects.toMatchObject({ code: "DATA_LOSS", offset: file.length - 8 });
  });

  it("pass checkpoints from which the rest can be read and checked", async () => {
    const file = redis(
      ...Array.from({ length: 50 }, (_, n): RdbItem => ({ ...string, key: Buffer.from(`k${n}`), db: n >> 4 })),
    );
    const all = await recordsOf([file]);
    const checkpoints: { at: Checkpoint; seen: number }[] = [];
    let seen = 0;
    const onCheckpoint = (at: Checkpoint) => checkpoints.push({ at, seen });
    const cuts = Array.from({ length: file.length / 13 }, (_, n) => 13 * n + 7);
    for await (const batch of records(cutAt(file, cuts), { checkpointBytes: 40, onCheckpoint })) seen += batch.length;
    expect(checkpoints.length).toBeGreaterThan(5);
    for (const { at, seen } of checkpoints) {
      const { offset: startOffset, db, crc64: before = 0n } = at;
      const stretch = { ...formats.REDIS, startOffset, db, crc64: { before } };
      expect(await recordsOf([file.subarray(startOffset)], { stretch })).toEqual(all.slice(seen));
    }
  });

  it("refuse a stretch that does not end with a record", async () => {
    const file = redis({ kind: "record", key: Buffer.from("k"), type: 0, value: encodeString("value") });
    const [first] = await recordsOf([file]);
    const endOffset = (first?.valueEnd ?? 0) - 1;
    const stretch = { ...formats.REDIS, startOffset: 9, endOffset, db: 0 };
    await expect(entriesOf([file.subarray(9, endOffset)], { stretch })).rejects.toMatchObject({ code: "DATA_LOSS" });
  });

  it("refuse a stretch whose source brings less or more", async () => {
    const items = ["a", "b"].map(
      (key): RdbItem => ({ kind: "record", key: Buffer.from(key), type: 0, value: encodeString("v") }),
    );
    const file = redis(...items);
    const stretch = { ...formats.REDIS, startOffset: 9, endOffset: 9 + 5, db: 0 };
    for (const end of [9, 9 + 10]) {
      await expect(entriesOf([file.subarray(9, end)], { stretch })).rejects.toMatchObject({ code: "DATA_LOSS" });
    }
  });

  it("refuse a key that takes few bytes in the file and more than 8 MiB when it is expanded", async () => {
    // One literal, and references of 264 bytes to the byte before.
    const count = Math.ceil((8 * 2 ** 20) / 264);
    const block = Buffer.concat([Buffer.of(0, 0x61), Buffer.alloc(3 * count, Uint8Array.of(0xe0, 255, 0))]);
    const key = cat([0xc3], encodeLength(block.length), encodeLength(1 + 264 * count), block);
    const file = redis({ kind: "raw", bytes: cat([0], key, encodeString("value")) });
    await expect(entriesOf([file])).rejects.toMatchObject({
      code: "UNIMPLEMENTED",
      message: expect.stringContaining("a key of more than 8388608 bytes"),
    });
    expect(readAll([file])).toMatchObject({ keys: 1 });
  });

  it("take a key that expires so late that no number holds it for one of the year 287,168", async () => {
    const times = [9e15 - 1, 9e15 + 1, 2 ** 62, -5];
    const file = redis(...times.map((expireTimeMs, n) => ({ ...string, key: Buffer.from(`${n}`), expireTimeMs })));
    const found = (await recordsOf([file])).map(({ expireTimeMs }) => expireTimeMs);
    expect(found).toEqual([9e15 - 1, 9e15, 9e15, -5]);
  });

  it("refuse a key of more than 8 MiB instead of holding it", async () => {
    const key = Buffer.alloc(8 * 2 ** 20 + 1, 0x61);
    const file = redis({ kind: "record", key, type: 0, value: encodeString("v") });
    await expect(entriesOf(cutAt(file, [10, 100_000]))).rejects.toMatchObject({ code: "UNIMPLEMENTED", offset: 10 });
  });

  it("refuse a key whose LZF block is damaged", async () => {
    const bad = cat([0], [0xc3, 3, 10, 0xe0, 0, 0], encodeString("v"));
    await expect(entriesOf([redis({ kind: "raw", bytes: bad })])).rejects.toMatchObject({ code: "DATA_LOSS" });
  });
});
