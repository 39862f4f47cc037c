import { describe, expect, it } from "vitest";
import { described, plain, sizeText } from "../../infra/cli/plain.ts";
import { table, wrapped } from "../../infra/cli/table.ts";

describe("text for people", () => {
  it("shows control characters and reordering marks as what they are", () => {
    expect(plain("a\u001b[31m\n\u009b\u202eb é 日")).toBe("a\\u001b[31m\\u000a\\u009b\\u202eb é 日");
  });

  it.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [112_154_308, "107.0 MiB"],
    [5 * 2 ** 50, "5120.0 TiB"],
  ])("%i bytes are %s", (bytes, text) => expect(sizeText(bytes)).toBe(text));

  it("aligns the columns of a table", () => {
    const rows = [
      ["A", "LONGER", ""],
      ["longest", "b", ""],
    ];
    expect(table(rows)).toBe("A        LONGER\nlongest  b");
  });

  it("goes on with a sentence below where it began, where there is room enough beside it", () => {
    const rows = [
      ["A", "FOUND"],
      ["name", "a sentence that is longer than the line"],
    ];
    expect(table(wrapped(rows, 30))).toBe("A     FOUND\nname  a sentence that is\n      longer than the line");
    expect(wrapped(rows, 29)).toEqual(rows);
    expect(wrapped(rows, undefined)).toEqual(rows);
  });

  it("begins a description with the name, wherever the store has put it", () => {
    expect(described({ config: { hours: 2 }, name: "x" })).toBe("name: x\nconfig:\n  hours: 2");
  });

  it("describes a document with what lies in it", () => {
    const document = {
      ...{ name: "x", totalSizeBytes: 2048, smallBytes: 3, target: "", gone: undefined },
      ...{ pins: [], holds: [{ kind: "pin", path: "p" }], uris: ["gs://a/b"], config: { hours: 2 }, none: {} },
      caCertificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    };
    expect(described(document).split("\n")).toEqual([
      "name: x",
      "totalSizeBytes: 2.0 KiB (2048)",
      "smallBytes: 3",
      "pins: none",
      "holds:",
      "- kind: pin",
      "  path: p",
      "uris:",
      "- gs://a/b",
      "config:",
      "  hours: 2",
      "none: none",
      "caCertificate: -----BEGIN CERTIFICATE----- …",
    ]);
  });
});
