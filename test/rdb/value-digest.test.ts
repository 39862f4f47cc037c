import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Magic } from "../../shared/rdb/family.ts";
import { ValueDigest } from "../../shared/rdb/value-digest.ts";
import { encodeLength, encodeString } from "../../shared/rdb/writer.ts";

function digestOf(type: number, value: Uint8Array, pieceBytes = value.length, magic: Magic = "REDIS"): string {
  const digest = new ValueDigest(type, magic);
  for (let at = 0; at < value.length; at += Math.max(1, pieceBytes)) digest.update(value.subarray(at, at + pieceBytes));
  return digest.hex();
}

const elementsOf = (elements: readonly (readonly string[])[]): Uint8Array =>
  Buffer.concat([encodeLength(elements.length), ...elements.flat().map((text) => encodeString(text))]);

const text = fc.string({ maxLength: 80 });

describe("the digest of a value", () => {
  it("is the same in whatever pieces it comes", () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 2, 4), fc.array(fc.tuple(text, text)), fc.nat({ max: 9 }), (type, pairs, size) => {
        const value = elementsOf(type === 2 ? pairs.map(([one]) => [one]) : pairs);
        expect(digestOf(type, value, size + 1)).toBe(digestOf(type, value));
      }),
    );
  });

  it("does not know in which order a set or a hash lies", () => {
    fc.assert(
      fc.property(fc.constantFrom(2, 4), fc.uniqueArray(fc.tuple(text, text), { minLength: 2 }), (type, pairs) => {
        const elements = type === 2 ? pairs.map(([one]) => [one]) : pairs;
        expect(digestOf(type, elementsOf(elements.toReversed()))).toBe(digestOf(type, elementsOf(elements)));
      }),
    );
  });

  it.each([
    ["another value", [["a", "1"]], [["a", "2"]]],
    [
      "a field more",
      [["a", "1"]],
      [
        ["a", "1"],
        ["b", "1"],
      ],
    ],
    [
      "values that have changed places",
      [
        ["a", "1"],
        ["b", "2"],
      ],
      [
        ["a", "2"],
        ["b", "1"],
      ],
    ],
    ["an end that belongs to the next", [["ab", "c"]], [["a", "bc"]]],
  ])("tells %s of a hash", (_, one, other) => {
    expect(digestOf(4, elementsOf(one))).not.toBe(digestOf(4, elementsOf(other)));
  });

  it("tells the order of a list, and one type from another", () => {
    const [one, other] = [elementsOf([["a"], ["b"]]), elementsOf([["b"], ["a"]])];
    expect(digestOf(1, one)).not.toBe(digestOf(1, other));
    expect(digestOf(1, one)).not.toBe(digestOf(2, one));
  });

  it("does not know the order of a hash whose fields expire, and tells their times", () => {
    const field = (name: string, time: number) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(time));
      return [encodeString(name), encodeString("v"), bytes];
    };
    const hash = (...fields: Uint8Array[][]) => Buffer.concat([encodeLength(fields.length), ...fields.flat()]);
    const [a, b, later] = [field("a", 1), field("b", -1), field("b", 2)];
    expect(digestOf(22, hash(a, b), 1, "VALKEY")).toBe(digestOf(22, hash(b, a), 7, "VALKEY"));
    expect(digestOf(22, hash(a, b), 1, "VALKEY")).not.toBe(digestOf(22, hash(a, later), 7, "VALKEY"));
  });
});
