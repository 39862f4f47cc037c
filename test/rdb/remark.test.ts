import { describe, expect, it } from "vitest";
import { check } from "../../shared/rdb/check.ts";
import { RdbStream } from "../../shared/rdb/rdb-stream.ts";
import { decodeRemark, encodeRemark, remarkBytes } from "../../shared/rdb/remark.ts";

describe("a remark", () => {
  it.each(["", "{}", "x".repeat(1024)])("of the text %j is read back, and always of one length", (text) => {
    expect(encodeRemark(text)).toHaveLength(remarkBytes);
    expect(decodeRemark(encodeRemark(text))).toBe(text);
  });

  it("is nothing else than one, whatever the bytes are", () => {
    const bytes = encodeRemark("{}");
    expect(decodeRemark(bytes.subarray(1))).toBeUndefined();
    expect(decodeRemark(Uint8Array.from(bytes, (byte, at) => (at === 3 ? byte ^ 1 : byte)))).toBeUndefined();
  });

  it.each(["x".repeat(1025), "é", "\n"])("holds no %j", (text) => {
    expect(() => encodeRemark(text)).toThrow(TypeError);
  });

  it("stands in a file without harm, and a stream that goes on behind it ends with the right CRC64", async () => {
    const first = new RdbStream();
    first.header({ magic: "REDIS", rdbVersion: 11 });
    first.selectDatabase(3);
    first.append(encodeRemark("here"));
    const begun = Uint8Array.from(first.take());
    const second = new RdbStream({ offset: first.offset, crc64: first.crc64 });
    second.expireTime(4_102_444_800_123n);
    second.beginRecord(0, Buffer.from("key"), 0, 3);
    second.append(Uint8Array.of(1, 0x76));
    const rest = Uint8Array.from(second.take());
    const facts = await check([begun, rest, second.end()]);
    expect(facts).toMatchObject({ crc64: "ok", keys: 1, expires: 1, sizeBytes: second.offset + 8 });
  });
});
