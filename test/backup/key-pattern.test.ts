import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { keyPattern } from "../../shared/backup/key-pattern.ts";
import { send } from "../valkey/client.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe("a pattern of keys", () => {
  it.each([
    ["user:42:*", ["user:42:", "user:42:cart"], ["user:4:", "user:421"]],
    ["h?llo", ["hello", "h*llo"], ["hllo", "heello"]],
    ["h[ae]llo", ["hello", "hallo"], ["hillo"]],
    ["h[^e]llo", ["hallo"], ["hello"]],
    ["h[a-c]llo", ["hbllo"], ["hdllo"]],
    ["h[c-a]llo", ["hbllo"], ["hdllo"]],
    ["a\\*", ["a*"], ["ab"]],
    ["*", ["", "anything"], []],
    ["a*b*c", ["abc", "axxbyyc"], ["ab", "acb"]],
    ["[", [], ["["]],
    ["[^", ["x"], [""]],
  ])("%s takes %j and not %j", (pattern, taken, left) => {
    const takes = keyPattern(pattern);
    expect(taken.map((key) => takes(bytes(key)))).toEqual(taken.map(() => true));
    expect(left.map((key) => takes(bytes(key)))).toEqual(left.map(() => false));
  });

  it.each([
    ["", /of 0 bytes/],
    ["x".repeat(4097), /of 4097 bytes: expected 1 to 4096/],
  ])("is refused where it is no pattern, and not repeated", (pattern, reason) => {
    expect(() => keyPattern(pattern)).toThrow(reason);
    expect(() => keyPattern(pattern)).not.toThrow(/xx/);
  });

  it("of many stars is answered at once", () => {
    const takes = keyPattern(`${"a*".repeat(30)}b`);
    expect(takes(bytes("a".repeat(2000)))).toBe(false);
  });
});

describe("a real server", () => {
  let server: ValkeyServer;
  beforeAll(async () => {
    server = await startValkey({ version: "8.0" });
  });
  afterAll(() => server?.stop());

  it("finds the same keys by KEYS", async () => {
    const word = fc
      .array(fc.constantFrom(..."ab-^]\\[*?é\u0000".split("")), { maxLength: 6 })
      .map((list) => list.join(""));
    const pattern = fc
      .array(
        fc.oneof(
          fc.constantFrom(
            "*",
            "?",
            "[",
            "]",
            "^",
            "-",
            "\\",
            "a",
            "b",
            "[a-b]",
            "[^a]",
            "[]-a]",
            "[\\]]",
            "é",
            "[é-\u0000]",
          ),
          word,
        ),
        { minLength: 1, maxLength: 6 },
      )
      .map((parts) => parts.join(""))
      .filter((text) => text.length > 0);
    const keys = [...new Set(fc.sample(word, { numRuns: 1500, seed: 7 }))];
    await send(server.endpoint, ["MSET", ...keys.flatMap((key) => [key, "1"])]);
    await fc.assert(
      fc.asyncProperty(pattern, async (text) => {
        const found = (await send(server.endpoint, ["KEYS", text])) as Buffer[];
        const takes = keyPattern(text);
        expect(keys.filter((key) => takes(bytes(key))).sort()).toEqual(found.map(String).sort());
      }),
      { numRuns: 400, seed: 11 },
    );
  });
});
