import { describe, expect, it } from "vitest";
import { StatusError } from "../../shared/error.ts";
import type { Magic } from "../../shared/rdb/family.ts";
import { RdbReader } from "../../shared/rdb/reader.ts";
import { seeded } from "../fixture/seeded.ts";
import { cutAt, failure, fileOfEverything, formats, randomCuts, readAll } from "./files.ts";

const magics: Magic[] = ["REDIS", "VALKEY"];

describe.each(magics)("a reader of a %s file", (magic) => {
  const file = fileOfEverything(magic);
  const small = fileOfEverything(magic, { isSmall: true });

  it("finds the same byte by byte as in one piece", () => {
    const everywhere = Array.from({ length: file.length }, (_, i) => i);
    expect(readAll(cutAt(file, everywhere))).toEqual(readAll([file]));
  });

  it("finds the same however it is cut in two", () => {
    const whole = readAll([small]);
    for (let at = 0; at <= small.length; at++) expect(readAll(cutAt(small, [at])), `cut at ${at}`).toEqual(whole);
  });

  it("finds the same in pieces of any size", () => {
    const whole = readAll([file]);
    for (let seed = 0; seed < 200; seed++) {
      const random = seeded(seed);
      const cuts = randomCuts(file.length, Math.floor(random() ** 3 * 500), random);
      expect(readAll(cutAt(file, cuts)), `seed ${seed}`).toEqual(whole);
    }
  });

  it("notices wherever the file ends early", () => {
    for (let end = 0; end < small.length; end++) {
      expect(failure([small.subarray(0, end)]), `end at ${end}`).toMatchObject({ code: "DATA_LOSS", offset: end });
    }
  });

  it("notices every changed byte of a file with a checksum", () => {
    const unnoticed: string[] = [];
    for (let at = 0; at < small.length; at++) {
      for (const flip of [0x01, 0x08, 0x40, 0x80, 0xff]) {
        const changed = new Uint8Array(small);
        changed[at] = (changed[at] as number) ^ flip;
        if (verdict(changed) !== "refused") unnoticed.push(`byte ${at} xor ${flip}`);
      }
    }
    expect(unnoticed).toEqual([]);
  });

  it("never crashes and always decides on damaged files without a checksum", () => {
    const unchecked = fileOfEverything(magic, { isSmall: true, hasChecksum: false });
    const random = seeded(11);
    const decided = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      const changed = new Uint8Array(unchecked);
      for (let flips = Math.ceil(random() * 4); flips > 0; flips--) {
        changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256);
      }
      decided.add(verdict(changed));
    }
    expect([...decided].sort()).toEqual(["absent", "refused"]);
  });

  it("says that there is no checksum where damage has made it zeros, and so never that it is right", () => {
    const changed = new Uint8Array(small);
    changed.fill(0, small.length - 8);
    changed[formats[magic].magic.length + 20] = 0x41;
    expect(verdict(changed)).not.toBe("ok");
  });
});

/** What a reader with and without entries makes of it: the two must agree. */
function verdict(file: Uint8Array): "ok" | "absent" | "refused" {
  const [counted, collected] = [false, true].map((entries) => {
    try {
      const reader = new RdbReader({ entries });
      for (let at = 0; at < file.length; at += 401) reader.write(file.subarray(at, at + 401));
      return reader.end().crc64;
    } catch (error) {
      if (error instanceof StatusError && error.offset !== undefined) return "refused";
      throw error;
    }
  });
  // Only a reader with entries decodes keys and code, so it may refuse more.
  if (collected === counted || collected === "refused") return counted ?? "refused";
  throw new Error(`counting says ${counted}, collecting ${collected}`);
}
