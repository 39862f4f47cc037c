import fc from "fast-check";
import { expect, it } from "vitest";
import { PassingRecord } from "../../shared/rdb/passing.ts";
import { dumpPayload } from "../../shared/rdb/payload.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { encodeRestore, restoreBytes } from "../../shared/valkey/load/restore-command.ts";
import { command } from "../../shared/valkey/resp.ts";

const bytes = (maxLength: number) => fc.uint8Array({ maxLength, size: "max" });
const expiry = fc.oneof(
  fc.constantFrom(-1, 0, 1, 9, 10, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 4_102_444_800_000, 9e15),
  fc.nat({ max: 9e15 }),
);
const record = fc.record({
  key: bytes(300),
  value: bytes(2_000),
  // A list, a sorted set with binary scores, a listpack: their lowest versions differ.
  type: fc.constantFrom(0, 5, 18, 21),
  expireTimeMs: expiry,
  access: fc.oneof(
    fc.constant({}),
    fc.record({ idleSeconds: fc.nat({ max: 2 ** 31 }) }),
    fc.record({ freq: fc.nat({ max: 255 }) }),
  ),
  replace: fc.boolean(),
  before: fc.nat({ max: 20 }),
});

it("the RESTORE of any record is the one that its DUMP payload makes", () => {
  fc.assert(
    fc.property(record, ({ key, value: plain, type, expireTimeMs, access, replace, before }) => {
      const value = type === 0 ? Buffer.from(encodeString(plain)) : Buffer.from(plain);
      const around = Buffer.concat([Buffer.alloc(before, 1), key, value, Buffer.from("behind")]);
      const passing: PassingRecord = Object.assign(new PassingRecord(), { type, expireTimeMs, ...access });
      passing.keyBytes = passing.valueBytes = around;
      passing.keyFrom = before;
      passing.keyTo = passing.valueFrom = before + key.length;
      passing.valueTo = passing.valueFrom + value.length;
      const room = restoreBytes(passing, value.length);
      const block = { bytes: Buffer.alloc(room + before), at: before, commands: 0 };
      encodeRestore({ ...block, span: undefined as never, redirected: 0, isAnswered: false }, passing, around, {
        magic: "REDIS",
        replace,
      });
      const { header, footer } = dumpPayload(type, value, "REDIS");
      const words = [
        ...["RESTORE", key, `${expireTimeMs === -1 ? 0 : expireTimeMs}`, Buffer.concat([header, value, footer])],
        ...(replace ? ["REPLACE"] : []),
        ...(expireTimeMs === -1 ? [] : ["ABSTTL"]),
        ...("idleSeconds" in access ? ["IDLETIME", `${access.idleSeconds}`] : []),
        ...("freq" in access ? ["FREQ", `${access.freq}`] : []),
      ];
      const expected = command(words);
      expect(Buffer.compare(block.bytes.subarray(before, before + expected.length), expected)).toBe(0);
    }),
  );
});
