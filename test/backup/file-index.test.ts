import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FileIndex, indexBytes, isWorthKeeping, parseIndex } from "../../shared/backup/file-index.ts";
import { asStatusError, type Code } from "../../shared/error.ts";

const hex = fc.stringMatching(/^[0-9a-f]{16}$/);

/** Any index that a file can have. */
const anyIndex = fc
  .record({
    borderBytes: fc.integer({ min: 1, max: 2 ** 40 }),
    crc64: hex,
    steps: fc.array(
      fc.record({
        bytes: fc.integer({ min: 1, max: 2 ** 30 }),
        database: fc.nat({ max: 20 }),
        crc64: hex,
        keys: fc.integer({ min: 1, max: 1e6 }),
        expires: fc.nat({ max: 1e6 }),
      }),
      { maxLength: 20 },
    ),
  })
  .map(({ borderBytes, crc64, steps }): FileIndex => {
    const borders: FileIndex["borders"] = [];
    for (const { bytes, database, crc64: before, keys, expires } of steps) {
      const last = borders.at(-1) ?? { offset: 0, keys: 0, expires: 0 };
      borders.push({
        offset: last.offset + bytes,
        database,
        keys: last.keys + keys,
        expires: last.expires + expires,
        crc64: before,
      });
    }
    return { borderBytes, sizeBytes: (borders.at(-1)?.offset ?? 0) + 9, crc64, borders };
  });

const small: FileIndex = {
  borderBytes: 100,
  sizeBytes: 300,
  crc64: "0123456789abcdef",
  borders: [
    { offset: 110, database: 0, keys: 3, expires: 1, crc64: "00000000000000aa" },
    { offset: 205, database: 2, keys: 9, expires: 1, crc64: "00000000000000bb" },
  ],
};

const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

function expectRefused(act: () => unknown, code: Code, message: RegExp): void {
  try {
    act();
  } catch (error) {
    expect(asStatusError(error)).toMatchObject({ code, message: expect.stringMatching(message) });
    return;
  }
  throw new Error("it was taken for an index");
}

describe("an index", () => {
  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyIndex, (index) => {
        expect(parseIndex(indexBytes(index), "0.index.json", index.sizeBytes)).toEqual(index);
      }),
    );
  });

  it("has the same bytes whatever the order of its fields", () => {
    const { borders, ...rest } = small;
    const turned = borders.map(({ crc64, keys, expires, offset, database }) => ({
      crc64,
      keys,
      expires,
      database,
      offset,
    }));
    expect(indexBytes({ borders: turned, ...rest })).toEqual(indexBytes(small));
  });

  it("is kept from two borders on", () => {
    expect([0, 1, 2].map((count) => isWorthKeeping({ borders: small.borders.slice(0, count) }))).toEqual([
      false,
      false,
      true,
    ]);
  });

  it.each<[string, unknown]>([
    ["of another file", { ...small, sizeBytes: 301 }],
    ["without a list", { ...small, borders: {} }],
    ["without a checksum of the whole", { ...small, crc64: 7 }],
    ["without a distance", { ...small, borderBytes: 0 }],
    ["with a border behind the end", { ...small, borders: [{ ...small.borders[0], offset: 300 }] }],
    ["with a border at the start", { ...small, borders: [{ ...small.borders[0], offset: 0 }] }],
    ["with borders that do not rise", { ...small, borders: small.borders.toReversed() }],
    [
      "with a border of fewer keys than the one before",
      { ...small, borders: [small.borders[0], { ...small.borders[1], keys: 3 }] },
    ],
    ["with a border that is none", { ...small, borders: [{ offset: 5 }, "7"] }],
    ["with a checksum that is none", { ...small, borders: [{ ...small.borders[0], crc64: "0xaa" }] }],
  ])("%s is damaged", (_, value) => {
    const stored = { indexVersion: 1, ...Object(value) };
    expectRefused(() => parseIndex(bytesOf(stored), "0.index.json", 300), "DATA_LOSS", /^0\.index\.json is damaged: /);
  });

  it.each([
    ["no JSON", Buffer.from("{")],
    ["bytes", Uint8Array.of(0xff, 0xfe)],
  ])("of %s is damaged", (_, bytes) => {
    expectRefused(() => parseIndex(bytes, "0.index.json", 300), "DATA_LOSS", /it is not JSON$/);
  });

  it("of a later version is not guessed at", () => {
    expectRefused(
      () => parseIndex(bytesOf({ ...small, indexVersion: 2 }), "0.index.json", 300),
      "UNIMPLEMENTED",
      /version 2/,
    );
  });
});
