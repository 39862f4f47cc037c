import { describe, expect, it } from "vitest";
import { StatusError } from "../../shared/error.ts";
import { expandLzf } from "../../shared/rdb/lzf.ts";
import { seeded } from "../fixture/seeded.ts";

const expand = (block: number[], length: number): string =>
  Buffer.from(expandLzf(Uint8Array.from(block), length, 0)).toString();

describe("LZF", () => {
  it("copies literals", () => {
    expect(expand([2, 0x61, 0x62, 0x63], 3)).toBe("abc");
  });

  it("repeats what a reference points at", () => {
    expect(expand([2, 0x61, 0x62, 0x63, 0x20, 2], 6)).toBe("abcabc");
  });

  it("repeats a byte that a reference has just written", () => {
    expect(expand([0, 0x61, 0xe0, 255, 0], 265)).toBe("a".repeat(265));
  });

  it.each([
    ["a reference before the start", [0, 0x61, 0x20, 1], 4],
    ["a literal that runs out", [5, 0x61], 6],
    ["a reference that runs out", [0, 0x61, 0xe0, 1], 11],
    ["more bytes than it should", [2, 0x61, 0x62, 0x63], 2],
    ["a reference to more bytes than it should", [0, 0x61, 0x40, 0], 3],
    ["fewer bytes than it should", [2, 0x61, 0x62, 0x63], 4],
  ])("refuses %s", (_, block, length) => {
    expect(() => expand(block, length)).toThrow(expect.objectContaining({ code: "DATA_LOSS" }));
  });

  it("sets no memory aside for what no block of so few bytes can hold", () => {
    expect(() => expand([0, 0x61], 2 ** 40)).toThrow(expect.objectContaining({ code: "DATA_LOSS" }));
  });

  it("never reads or writes outside for any bytes", () => {
    const random = seeded(5);
    for (let round = 0; round < 5000; round++) {
      const block = Uint8Array.from({ length: Math.floor(random() * 20) }, () => random() * 256);
      const length = Math.floor(random() * 300);
      try {
        expect(expandLzf(block, length, 0)).toHaveLength(length);
      } catch (error) {
        expect(error).toBeInstanceOf(StatusError);
      }
    }
  });
});
