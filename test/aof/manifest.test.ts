import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseManifest } from "../../shared/aof/manifest.ts";
import { splitWords } from "../../shared/aof/words.ts";

const parse = (...lines: string[]) => parseManifest(Buffer.from(lines.map((line) => `${line}\n`).join("")));

describe("the manifest of a multi-part AOF", () => {
  it("names the base and the increments in their order, and not what the server will delete", () => {
    expect(
      parse(
        "file appendonly.aof.2.base.rdb seq 2 type b",
        "file appendonly.aof.1.incr.aof seq 1 type h",
        "file appendonly.aof.2.incr.aof seq 2 type i",
        "file appendonly.aof.3.incr.aof seq 3 type i startoffset 4711",
        "# a remark",
      ),
    ).toEqual({
      base: { fileName: "appendonly.aof.2.base.rdb", seq: 2 },
      increments: [
        { fileName: "appendonly.aof.2.incr.aof", seq: 2 },
        { fileName: "appendonly.aof.3.incr.aof", seq: 3 },
      ],
    });
  });

  it("has names in quotes, with escapes, as a server writes those that need them", () => {
    const names = [`"a b.aof.1.incr.aof"`, `'it\\'s.aof'`, `"\\"q\\"\\x2eaof"`, `"\\xc3\\xa4.aof"`];
    const lines = names.map((name, n) => `file ${name} seq ${n + 1} type i`);
    expect(parse(...lines).increments.map(({ fileName }) => fileName)).toEqual([
      "a b.aof.1.incr.aof",
      "it's.aof",
      `"q".aof`,
      "ä.aof",
    ]);
  });

  it.each([
    ["nothing", "", 0],
    ["a last line that is cut", "file a seq 1 type b\nfile b seq 1 ty", 35],
    ["an empty line", "file a seq 1 type b\n\n", 20],
    ["a word too few", "file a seq 1 type\n", 0],
    ["no number", "file a seq x type b\n", 0],
    ["a number of zero", "file a seq 0 type b\n", 0],
    ["no type", "file a seq 1 kind b\n", 0],
    ["an unknown type", "file a seq 1 type x\n", 0],
    ["no name", `file "" seq 1 type b\n`, 0],
    ["another folder's file", "file ../a seq 1 type b\n", 0],
    ["its own folder", "file .. seq 1 type b\n", 0],
    ["a quote that is not closed", `file "a seq 1 type b\n`, 0],
    ["a second base", "file a seq 1 type b\nfile b seq 2 type b\n", 20],
    ["numbers that do not rise", "file a seq 2 type i\nfile b seq 2 type i\n", 20],
    ["an endless line", `file a seq 1 type b ${"x y ".repeat(300)}\n`, 0],
  ])("is refused with %s", (_, text, offset) => {
    expect(() => parseManifest(Buffer.from(text))).toThrow(expect.objectContaining({ code: "DATA_LOSS", offset }));
  });

  it("is read or refused, whatever its bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseManifest(bytes);
        } catch (error) {
          expect(error).toMatchObject({ code: "DATA_LOSS" });
        }
      }),
    );
  });
});

describe("the words of a line", () => {
  it("are those that were written, whatever is in them", () => {
    const quoted = (word: string) =>
      `"${[...Buffer.from(word, "latin1")].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}"`;
    const words = fc.array(
      fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
    );
    fc.assert(
      fc.property(words, (wanted) => {
        expect(splitWords(wanted.map(quoted).join(" "))).toEqual(wanted);
      }),
    );
  });

  it("are none where something stands right behind a quote", () => {
    expect([splitWords(`"a"b`), splitWords(`'a'"b"`), splitWords(`a'b' c`)]).toEqual([
      undefined,
      undefined,
      ["ab", "c"],
    ]);
  });
});
