import { describe, expect, it } from "vitest";
import type { Magic } from "../../shared/rdb/family.ts";
import { RdbReader } from "../../shared/rdb/reader.ts";
import { encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { failure, fileOfEverything, formats, itemsOfEverything, readAll } from "./files.ts";
import { cat, samples, wideLength } from "./values.ts";

const magics: Magic[] = ["REDIS", "VALKEY"];
const record = (type: number, value: Uint8Array, key = "key"): RdbItem => ({
  kind: "record",
  key: Buffer.from(key),
  type,
  value,
});
const raw = (...bytes: number[]): RdbItem => ({ kind: "raw", bytes: Uint8Array.from(bytes) });
const redis = (...items: RdbItem[]): Uint8Array => writeRdb(formats.REDIS, items);
const headerBytes = 9;

describe.each(magics)("a reader of %s files", (magic) => {
  it.each(samples[magic].map((sample, i) => ({ ...sample, i })))("passes over $name of type $type ($i)", (sample) => {
    const file = writeRdb(formats[magic], [record(sample.type, sample.value), record(0, encodeString("next"))]);
    const { types } = readAll([file]).databases[0] ?? {};
    expect(types).toEqual(sample.name === "string" ? { string: 2 } : { [sample.name]: 1, string: 1 });
  });

  it("counts what is in a file of everything", () => {
    const file = fileOfEverything(magic);
    const count = samples[magic].length;
    const expiring = Math.ceil(count / 3);
    expect(readAll([file])).toMatchObject({
      ...formats[magic],
      crc64: "ok",
      sizeBytes: file.length,
      keys: count,
      expires: expiring,
      functions: 1,
      databases: { 0: { keys: 5, expires: 2, types: { string: 5 } }, 9: { keys: count - 5, expires: expiring - 2 } },
      minimumRdbVersion: magic === "REDIS" ? 12 : 80,
      largestRecordBytes: 1 + 5 + 70_000,
      aux: { "redis-ver": "7.2.4", "used-mem": "1048576" },
      moduleTypes: ["ReJSON-RL"],
      hasSlotInfo: true,
      slots: [[1, 1]],
      slotImports: magic === "REDIS" ? 0 : 1,
    });
  });

  it("reads a file without keys", () => {
    expect(readAll([writeRdb(formats[magic], [])])).toMatchObject({ keys: 0, databases: {}, largestRecordBytes: 0 });
  });

  it("calls a checksum of zeros absent", () => {
    const file = writeRdb({ ...formats[magic], hasChecksum: false }, itemsOfEverything(magic));
    expect(readAll([file]).crc64).toBe("absent");
  });

  it("refuses bytes behind the footer", () => {
    const file = fileOfEverything(magic);
    expect(failure([file, Uint8Array.of(0)])).toMatchObject({ code: "DATA_LOSS", offset: file.length });
  });
});

describe("a reader", () => {
  it.each([1, 2, 3, 4])("expects no checksum at the end of version %i", (rdbVersion) => {
    const file = writeRdb({ magic: "REDIS", rdbVersion }, [record(0, encodeString("value"))]);
    expect(readAll([file])).toMatchObject({ rdbVersion, crc64: "absent", keys: 1 });
  });

  it.each([5, 6, 7, 8, 9, 10, 11, 12])("compares the checksum of version %i", (rdbVersion) => {
    expect(readAll([writeRdb({ magic: "REDIS", rdbVersion }, [])])).toMatchObject({ rdbVersion, crc64: "ok" });
  });

  it("counts an expiry in seconds", () => {
    const file = redis(raw(253, 1, 2, 3, 4), record(0, encodeString("value")));
    expect(readAll([file]).expires).toBe(1);
  });

  it("puts keys before the first database's opcode into database 0", () => {
    expect(Object.keys(readAll([redis(record(0, encodeString("value")))]).databases)).toEqual(["0"]);
  });

  it("adds up a database that comes twice", () => {
    const one = record(0, encodeString("value"));
    const file = redis(
      { kind: "database", db: 1 },
      one,
      { kind: "database", db: 2 },
      one,
      { kind: "database", db: 1 },
      one,
    );
    expect(readAll([file]).databases).toMatchObject({ 1: { keys: 2 }, 2: { keys: 1 } });
  });

  it("needs RDB version 10 for functions", () => {
    expect(readAll([redis({ kind: "function", code: Buffer.from("x") })]).minimumRdbVersion).toBe(10);
  });

  it("keeps no AUX field but the well-known ones, and no long value", () => {
    const long = { kind: "aux", name: "redis-ver", value: "7".repeat(1000) } as const;
    const file = redis({ kind: "aux", name: "secret", value: "hunter2" }, long);
    expect(readAll([file]).aux).toEqual({});
  });

  it("says the same again after it failed", () => {
    const reader = new RdbReader();
    const bad = Buffer.from("not an RDB file");
    expect(() => reader.write(bad)).toThrow(/not an RDB file/);
    expect(() => reader.write(redis())).toThrow(/not an RDB file/);
    expect(() => reader.end()).toThrow(/not an RDB file/);
  });

  it("notices an end of the source within a skipped value", () => {
    const file = redis(record(0, encodeString("a".repeat(1000))));
    expect(failure([file.subarray(0, 500)])).toMatchObject({ code: "DATA_LOSS", offset: 500 });
  });
});

describe("a reader refuses", () => {
  it.each([
    ["nothing at all", new Uint8Array(0), /it is empty/],
    ["a few bytes", Buffer.from("REDIS00"), /first bytes/],
    ["text", Buffer.from("Hello, world\n"), /not an RDB file/],
    ["a version that is no number", Buffer.from("REDIS00x1rest"), /not an RDB file/],
  ])("%s as no RDB file", (_, bytes, message) => {
    expect(failure([bytes])).toMatchObject({ code: "DATA_LOSS", message: expect.stringMatching(message) });
  });

  it.each(["REDIS0000", "REDIS0013", "REDIS0080", "VALKEY011", "VALKEY081"])("the version of %s", (header) => {
    expect(failure([Buffer.from(header)])).toMatchObject({
      code: "UNIMPLEMENTED",
      offset: header.startsWith("REDIS") ? 5 : 6,
    });
  });

  it.each([
    ["REDIS", 6],
    ["REDIS", 8],
    ["REDIS", 26],
    ["REDIS", 242],
    ["REDIS", 243],
    ["REDIS", 246],
    ["VALKEY", 6],
    ["VALKEY", 23],
    ["VALKEY", 24],
    ["VALKEY", 242],
    ["VALKEY", 246],
  ] as const)("in %s files what begins with byte %i", (magic, byte) => {
    const file = writeRdb(formats[magic], [raw(byte, 1, 2, 3)]);
    expect(failure([file])).toMatchObject({ code: "UNIMPLEMENTED", offset: headerBytes });
  });

  const afterKey = headerBytes + 5;
  it.each([
    ["a string's length in no known form", record(0, Uint8Array.of(0xc4)), afterKey],
    ["a length in no known form", record(1, Uint8Array.of(0x82)), afterKey],
    ["a count in a string's form", record(1, Uint8Array.of(0xc0, 1)), afterKey],
    ["a string of more than 1 TiB", record(0, wideLength(2n ** 40n + 1n)), afterKey],
    ["more than 2^40 elements", record(1, wideLength(2n ** 64n - 1n)), afterKey],
    ["LZF that grows beyond LZF's ratio", record(0, Uint8Array.of(0xc3, 1, 0x41, 0, 9, 9)), afterKey],
    ["an unknown module item", record(7, cat(wideLength(0n), [6])), afterKey + 9],
    ["another opcode than an expiry's before a key", cat252(250), headerBytes + 9],
    ["the end of the file in place of a key", cat252(255), headerBytes + 9],
  ])("%s as damage", (_, item, offset) => {
    expect(failure([redis(item)])).toMatchObject({ code: "DATA_LOSS", offset });
  });

  it("a database whose number no server can count to", () => {
    const file = redis(raw(254, ...wideLength(2n ** 31n)));
    expect(failure([file])).toMatchObject({ code: "UNIMPLEMENTED", offset: headerBytes + 1 });
  });

  it("more databases than any server has", () => {
    const items = Array.from({ length: 10_001 }, (_, db): RdbItem => ({ kind: "database", db }));
    expect(failure([redis(...items)]).code).toBe("UNIMPLEMENTED");
  });
});

/** An expiry, followed by this byte. */
function cat252(byte: number): RdbItem {
  return raw(252, 0, 0, 0, 0, 0, 0, 0, 0, byte, 1, 1, 1, 1);
}
