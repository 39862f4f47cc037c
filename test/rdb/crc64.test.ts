import { describe, expect, it } from "vitest";
import { Crc64, crc64 } from "../../shared/rdb/crc64.ts";
import { wasmCrc64 } from "../../shared/rdb/crc64-wasm.ts";
import { seeded } from "../fixture/seeded.ts";

/** The definition, bit by bit. */
function reference(bytes: Uint8Array, previous = 0n): bigint {
  let crc = previous;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n;
  }
  return crc;
}

function noise(length: number): Uint8Array {
  const random = seeded(length);
  return Uint8Array.from({ length }, () => random() * 256);
}

describe("CRC64", () => {
  it("gives the check value of the Jones polynomial", () => {
    expect(crc64(Buffer.from("123456789"))).toBe(0xe9c6d914c4b8d9can);
  });

  it("is zero for nothing", () => {
    expect(crc64(new Uint8Array(0))).toBe(0n);
  });

  it.each([
    1, 7, 8, 31, 32, 33, 34, 35, 36, 37, 38, 39, 63, 64, 65, 1000, 16_383, 16_384, 16_385, 65_536, 65_543, 90_001,
  ])("agrees with the bit-by-bit definition for %i bytes", (length) => {
    const bytes = noise(length);
    expect(crc64(bytes)).toBe(reference(bytes));
  });

  it("is the same in any pieces", () => {
    const bytes = noise(200_000);
    const random = seeded(3);
    const crc = new Crc64();
    for (let at = 0; at < bytes.length; ) {
      const size = Math.floor(random() ** 4 * 60_000);
      crc.update(bytes.subarray(at, at + size));
      at += size;
    }
    expect(crc.value()).toBe(crc64(bytes));
  });

  it("goes on from a previous value", () => {
    const bytes = noise(50_000);
    expect(crc64(bytes.subarray(20_011), crc64(bytes.subarray(0, 20_011)))).toBe(crc64(bytes));
  });

  it.each([
    [0, 65_536],
    [3, 65_531],
    [17, 48],
    [100, 140],
    [8, 16_400],
  ])("takes what stands in its window from %i to %i, as elsewhere", (from, to) => {
    const bytes = noise(65_536);
    const { window } = wasmCrc64();
    window.set(bytes);
    const [there, elsewhere] = [new Crc64(5n), new Crc64(5n)];
    there.update(window, from, to);
    elsewhere.update(bytes, from, to);
    const expected = reference(bytes.subarray(from, to), 5n);
    expect([there.value(), elsewhere.value()]).toEqual([expected, expected]);
    expect(Buffer.compare(window, bytes)).toBe(0);
  });

  it("takes more than is copied at once, from within", () => {
    const bytes = noise(200_000);
    const crc = new Crc64();
    crc.update(bytes, 1, 199_999);
    expect(crc.value()).toBe(crc64(bytes.slice(1, 199_999)));
  });

  it("keeps two sums apart that run at the same time", () => {
    const bytes = noise(40_000);
    const [one, other] = [new Crc64(), new Crc64()];
    one.update(bytes.subarray(0, 30_000));
    other.update(bytes.subarray(5));
    one.update(bytes.subarray(30_000));
    expect([one.value(), other.value()]).toEqual([crc64(bytes), crc64(bytes.subarray(5))]);
  });

  it("is written lowest byte first", () => {
    const target = new Uint8Array(10);
    const crc = new Crc64();
    crc.update(Buffer.from("123456789"));
    crc.writeTo(target, 1);
    expect(Buffer.from(target).toString("hex")).toBe("00cad9b8c414d9c6e900");
  });
});
