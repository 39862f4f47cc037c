import fc from "fast-check";
import { encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { formats } from "./files.ts";

/** A file of records of any length in up to three databases, some with an expiry, with function libraries before them. */
export const anyFile = fc
  .record({
    magic: fc.constantFrom("REDIS" as const, "VALKEY" as const),
    hasChecksum: fc.boolean(),
    functions: fc.nat({ max: 2 }),
    records: fc.array(fc.record({ length: fc.nat({ max: 300 }), db: fc.nat({ max: 2 }), expires: fc.boolean() }), {
      maxLength: 40,
    }),
  })
  .map(({ magic, hasChecksum, functions, records }) => {
    const libraries = Array.from(
      { length: functions },
      (_, n): RdbItem => ({ kind: "function", code: Buffer.from(`#!lua name=lib${n}\n`) }),
    );
    const keys = [...records]
      .sort((a, b) => a.db - b.db)
      .map(
        ({ length, db, expires }, n): RdbItem => ({
          kind: "record",
          db,
          key: Buffer.from(`key ${n}`),
          type: 0,
          value: encodeString("v".repeat(length)),
          expireTimeMs: expires ? 1_893_456_000_000 + n : -1,
        }),
      );
    return { magic, file: writeRdb({ ...formats[magic], hasChecksum }, [...libraries, ...keys]) };
  });
