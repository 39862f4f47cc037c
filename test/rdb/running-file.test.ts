import { describe, expect, it } from "vitest";
import { RunningFile } from "../../shared/rdb/running-file.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";

describe("a file whose values come in pieces", () => {
  it.each([
    ["REDIS", 11],
    ["REDIS", 4],
    ["VALKEY", 80],
  ] as const)("of %s version %i is, byte for byte, the file that is written at once", (magic, rdbVersion) => {
    const value = encodeString("a value");
    const keys = [
      { db: 3, key: Buffer.from("one"), expireTimeMs: -1 },
      { db: 3, key: Buffer.from("two"), expireTimeMs: 4_102_444_800_123 },
      { db: 5, key: Buffer.from("three"), expireTimeMs: -1 },
    ];
    const file = new RunningFile({ magic, rdbVersion });
    const pieces = [file.header()];
    for (const { db, key, expireTimeMs } of keys) {
      pieces.push(file.key(db, key, 0, expireTimeMs));
      for (const byte of value) pieces.push(file.value(Uint8Array.of(byte)));
    }
    pieces.push(file.footer());
    const items = keys.map((key) => ({ kind: "record" as const, type: 0, value, ...key }));
    expect(Buffer.concat(pieces)).toEqual(Buffer.from(writeRdb({ magic, rdbVersion }, items)));
  });
});
