import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { findValkey, startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { fillEverything } from "../fixture/dataset.ts";
import { send } from "../valkey/client.ts";
import { contentsOf, differenceOf } from "./contents.ts";
import { fillExpiringFields } from "./fill.ts";
import { type Pair, runPairs } from "./pair.ts";
import { requiredReleases } from "./release.ts";
import { blockOf, toldBy, verdictOf, wayText, wayToldBy, withBlock } from "./table.ts";
import { runWays, type Way } from "./way.ts";

const readme = await readFile(join(import.meta.dirname, "../../README.md"), "utf8");

/** Where the servers cannot be had, why not. */
let lacking = "";
beforeAll(async () => {
  for (const version of requiredReleases)
    await findValkey({ version }).catch(({ message }: Error) => {
      if (process.env.CI !== undefined) throw new Error(message);
      lacking = message;
      console.warn(`versions are left out: ${message}`);
    });
});
beforeEach(({ skip }) => skip(lacking !== "", lacking));

describe(`between ${requiredReleases.join(" and ")}`, () => {
  let pairs: Pair[];
  beforeAll(async () => {
    if (lacking === "") pairs = await runPairs(requiredReleases, requiredReleases);
  });

  it("a backup is restored to equal data, or refused with nothing written", () => {
    expect(pairs.filter(({ outcome }) => outcome === "WRONG")).toEqual([]);
    expect(pairs.filter(({ outcome }) => outcome === "RESTORED")).toHaveLength(9);
    expect(pairs.filter(({ outcome }) => outcome === "REFUSED")).toMatchObject([
      { source: "9.1", target: "8.0", holding: "also fields that expire" },
    ]);
  });

  it("files go back that the older server itself would not start with", () => {
    const back = pairs.filter(({ source, target }) => source === "9.1" && target === "8.0");
    expect(back.map(({ outcome, loadsAsFile }) => [outcome, loadsAsFile])).toEqual([
      ["RESTORED", false],
      ["RESTORED", false],
      ["REFUSED", false],
    ]);
  });

  it("every method gives all that a server holds, in a file that it starts with itself", async () => {
    const ways = await runWays(requiredReleases);
    expect(ways.filter((way) => wayText(way) !== "yes")).toEqual([]);
    expect(ways.map(({ method, source }) => `${method} ${source}`)).toEqual(
      ["REPLICATION", "SCAN", "VOLUME"].flatMap((method) => requiredReleases.map((release) => `${method} ${release}`)),
    );
    for (const way of ways) expect(wayToldBy(readme, way)).toBe("yes");
  });

  it("the README tells what was found", () => {
    for (const pair of pairs) expect(toldBy(readme, pair)).toEqual(verdictOf(pair));
  });
});

describe("the README's table", () => {
  const restored: Pair = { source: "8.0", holding: "all", target: "8.0", outcome: "RESTORED", loadsAsFile: true };
  const pairs: Pair[] = [
    restored,
    { ...restored, target: "9.1", loadsAsFile: false },
    { ...restored, source: "9.1", outcome: "REFUSED", reason: "Valkey 8.0.1 reads up to 11", loadsAsFile: false },
  ];
  const ways: Way[] = [
    { ...restored, method: "SCAN" },
    { ...restored, method: "VOLUME", loadsAsFile: false },
  ];
  const written = withBlock(readme, blockOf(pairs, ways, ["8.0", "9.1"]));

  it("is read as it was written, patch releases aside", () => {
    for (const pair of pairs) expect(toldBy(written, pair)).toEqual(verdictOf(pair));
    expect(toldBy(written, pairs[2] ?? restored)?.reason).toBe("Valkey 8.0 reads up to 11");
  });

  it("tells of a method only what was found, and calls wrong what a server does not start with", () => {
    expect(ways.map((way) => wayToldBy(written, way))).toEqual(["yes", "WRONG"]);
    expect(wayToldBy(written, { ...restored, method: "SCAN", source: "9.1" })).toBe("");
    expect(wayToldBy(written, { ...restored, method: "REPLICATION" })).toBeUndefined();
  });

  it("tells nothing of a pair that it does not have", () => {
    expect(toldBy(written, { ...restored, source: "9.1", target: "9.1" })).toBeUndefined();
    expect(toldBy(written, { ...restored, target: "redis-8.0" })).toBeUndefined();
  });
});

describe("two states of a server are told apart by", () => {
  let server: ValkeyServer | undefined;
  beforeAll(async () => {
    if (lacking !== "") return;
    server = await startValkey({ version: "9.1" });
    await fillEverything(server.endpoint);
    await fillExpiringFields(server.endpoint);
  });
  afterAll(() => server?.kill());

  it.each([
    ["a value", ["SET", "string:short", "other"]],
    ["an element", ["LSET", "list:large", 4_000, "other"]],
    ["a score", ["ZADD", "zset:large", 3, "member 9"]],
    ["a field", ["HSET", "hash:large", "field 7", "other"]],
    ["when a field expires", ["HPEXPIREAT", "fields:large", 4_102_444_800_000, "FIELDS", 1, "field 7"]],
    ["when a key expires", ["PEXPIREAT", "hash:large", 4_102_444_800_000]],
    ["an entry of a stream", ["XDEL", "stream:large", "1100-0"]],
    ["a pending entry", ["XACK", "stream:large", "readers", "1010-0"]],
    ["a key too many", ["SET", "more", "1"]],
    ["a key too few", ["DEL", "geo"]],
    ["a function", ["FUNCTION", "DELETE", "tiny"]],
  ])("%s", async (_what, change) => {
    const endpoint = server?.endpoint ?? "";
    const before = await contentsOf("9.1", endpoint);
    expect(differenceOf(before, await contentsOf("9.1", endpoint))).toBeUndefined();
    await send(endpoint, change);
    const after = await contentsOf("9.1", endpoint);
    expect(differenceOf(before, after)).toEqual(expect.any(String));
    // As if one of them were a Redis 7.0, whose digest is of another kind.
    expect(differenceOf({ ...before, release: "redis-7.0" }, after)).toEqual(expect.any(String));
  });
});
