import { describe, expect, it } from "vitest";
import { fingerprint, fingerprintKey } from "../../shared/valkey/scan/fingerprint.ts";

const key = fingerprintKey(Uint8Array.from({ length: 16 }, (_, n) => n));

function hexOf(bytes: Uint8Array): string {
  const out = new Int32Array(4);
  fingerprint(key, bytes, 0, bytes.length, out, 0);
  return Buffer.from(out.buffer).toString("hex");
}

describe("a fingerprint", () => {
  // `openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f -macopt size:16 SIPHASH`; the first is in SipHash's own vectors.h too.
  it.each([
    [0, "a3817f04ba25a8e66df67214c7550293"],
    [1, "0059ad1bbfbcb24ede19a8a28f3ecdec"],
    [7, "2591593b44427329b2fd0075ecf8546e"],
    [8, "f5074ee67d9cae2f8ae9957c0b72dfcf"],
    [63, "83d6c574103edd5916d191d1d718aede"],
  ])("of %i bytes is their SipHash", (length, expected) => {
    expect(hexOf(Uint8Array.from({ length }, (_, n) => n * 37 + length))).toBe(expected);
  });

  it("is another one under another key", () => {
    const out = new Int32Array(4);
    fingerprint(fingerprintKey(new Uint8Array(16)), new Uint8Array(0), 0, 0, out, 0);
    expect(Buffer.from(out.buffer).toString("hex")).not.toBe(hexOf(new Uint8Array(0)));
  });
});
