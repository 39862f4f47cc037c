import { describe, expect, it } from "vitest";
import { compare, compareFiles, type Found } from "../../shared/backup/comparison.ts";
import type { LoadedFile, RestoreFile, RestorePlan } from "../../shared/backup/operation.ts";

/** A restore of ten keys, loaded by one part, into a target that had so many function libraries. */
function planOf(functions: number, functionCount?: number): RestorePlan {
  const databases = { 0: { keys: 10, expires: 0 } };
  const sum = { file: 0, databases, expiredKeys: 0, soonExpiredKeys: 0, functions, sizeBytes: 100 };
  const target = { ids: [], runId: "run", expiredKeys: 0, ...(functionCount !== undefined && { functionCount }) };
  const loaded = [sum, { ...sum, file: 1, databases: {}, functions: 0 }];
  return { source: "file", files: [], parts: [], askedCount: 0, loadedCount: 0, target, loaded };
}

const foundWith = (functionCount?: number): Found => ({
  runId: "run",
  expiredKeys: 0,
  databases: { 0: { keys: 10, expires: 0 } },
  ...(functionCount !== undefined && { functionCount }),
});

describe("a comparison of function libraries", () => {
  it.each([
    [2, 0, 2],
    [2, 3, 5],
    [0, 3, 3],
    [0, 0, 0],
  ])("finds nothing wrong with %i loaded beside %i, and %i there", (loaded, before, now) => {
    expect(compare(planOf(loaded, before), foundWith(now))).toEqual([]);
  });

  it.each([
    [2, 0, 3],
    [2, 0, 1],
    [2, 3, 2],
    [2, 3, 3],
    [0, 0, 1],
    [0, 3, 2],
  ])("complains of %i loaded beside %i, and %i there", (loaded, before, now) => {
    const complaint = `${now} function libraries are there, ${loaded} were loaded beside ${before}`;
    expect(compare(planOf(loaded, before), foundWith(now))).toEqual([complaint]);
  });

  it.each([
    [undefined, 2],
    [0, undefined],
    [undefined, undefined],
  ])("says nothing where a count is not known: %s before, %s now", (before, now) => {
    expect(compare(planOf(1, before), foundWith(now))).toEqual([]);
  });
});

describe("a comparison of keys", () => {
  it.each([
    [
      "more keys than were loaded",
      { 0: { keys: 11, expires: 0 } },
      /holds 11 .*10 were loaded: someone else may write/,
    ],
    ["keys with an expiry", { 0: { keys: 12, expires: 2 } }, /holds 2 keys with expiry, 0 .*someone else may write/],
    ["another database", { 0: { keys: 10, expires: 0 }, 3: { keys: 1, expires: 0 } }, /database 3 .*someone else may/],
    ["fewer keys", { 0: { keys: 9, expires: 0 } }, /holds 9 keys without expiry, 10 were loaded$/],
  ])("tells of %s, and why that may be", (_name, databases, wanted) => {
    expect(compare(planOf(0, 0), { ...foundWith(0), databases }).join()).toMatch(wanted);
  });
});

/** A file of ten keys in database 0 and four in database 3, of which three and two have an expiry. */
const file: RestoreFile = {
  ...{ bucket: "vault", object: "0.rdb", generation: "1", sizeBytes: 100, magic: "REDIS", rdbVersion: 11 },
  ...{ minimumRdbVersion: 11, crc64: "ok", keys: 14, expires: 5, functions: 2, largestRecordBytes: 9 },
  ...{ moduleTypes: [], slotImports: 0 },
  databases: { 0: { keys: 10, expires: 3, types: {} }, 3: { keys: 4, expires: 2, types: {} } },
};

const loadedOf = (changes: Partial<LoadedFile> = {}): LoadedFile => ({
  file: 0,
  databases: { 0: { keys: 10, expires: 3 }, 3: { keys: 4, expires: 2 } },
  ...{ expiredKeys: 0, soonExpiredKeys: 0, functions: 2, sizeBytes: 100 },
  ...changes,
});

describe("what the parts of a file have loaded", () => {
  it("is what the file holds, but for what had expired", () => {
    expect(compareFiles({ files: [file], loaded: [loadedOf()] })).toEqual([]);
    const databases = { 0: { keys: 8, expires: 1 }, 3: { keys: 3, expires: 1 } };
    expect(compareFiles({ files: [file], loaded: [loadedOf({ databases, expiredKeys: 3 })] })).toEqual([]);
  });

  it.each<[string, Partial<LoadedFile>, RegExp]>([
    [
      "a key without expiry too few",
      { databases: { 0: { keys: 9, expires: 3 }, 3: { keys: 4, expires: 2 } } },
      /6 keys without expiry .* database 0, it holds 7/,
    ],
    [
      "a key without expiry too many",
      { databases: { 0: { keys: 11, expires: 3 }, 3: { keys: 4, expires: 2 } } },
      /8 keys without expiry/,
    ],
    [
      "a key with expiry too few",
      { databases: { 0: { keys: 10, expires: 3 }, 3: { keys: 3, expires: 1 } } },
      /1 keys with expiry were not loaded, 0 had expired/,
    ],
    [
      "a key with expiry too many",
      { databases: { 0: { keys: 11, expires: 4 }, 3: { keys: 4, expires: 2 } } },
      /4 keys with expiry .* database 0, it holds 3/,
    ],
    ["an expired key too many", { expiredKeys: 1 }, /0 keys with expiry were not loaded, 1 had expired/],
    [
      "keys in another database",
      { databases: { 0: { keys: 10, expires: 3 }, 4: { keys: 4, expires: 2 } } },
      /database 3, it holds 2/,
    ],
    ["a library twice", { functions: 3 }, /3 function libraries were loaded, expected 2/],
    ["no library", { functions: 0 }, /0 function libraries were loaded, expected 2/],
  ])("is complained of: %s", (_, changes, message) => {
    const complaints = compareFiles({ files: [file], loaded: [loadedOf(changes)] });
    expect(complaints.some((complaint) => message.test(complaint))).toBe(true);
  });

  it("is complained of where nothing of a file was loaded, and a second file's libraries are expected nowhere", () => {
    const second = { ...file, object: "1.rdb" };
    const loaded = [loadedOf(), loadedOf({ file: 1, functions: 0 })];
    expect(compareFiles({ files: [file, second], loaded })).toEqual([]);
    expect(compareFiles({ files: [file, second], loaded: loaded.slice(0, 1) }).length).toBeGreaterThan(0);
  });
});

describe("a comparison with the target", () => {
  it("does not mind a database whose keys a first attempt created and a later one found expired, all of them", () => {
    const plan = { ...planOf(0), loaded: [loadedOf({ databases: {}, expiredKeys: 3, functions: 0 })] };
    const holding = (keys: number, expires: number) =>
      compare(plan, { ...foundWith(), databases: { 7: { keys, expires } } });
    expect(holding(3, 3)).toEqual([]);
    expect(holding(4, 4)).toEqual(["database 7 holds 4 keys with expiry, 0 were loaded: someone else may write there"]);
    expect(holding(1, 0)).toEqual([
      "database 7 holds 1 keys without expiry, 0 were loaded: someone else may write there",
    ]);
  });

  it("does not take a count of expired keys that somebody has set to zero for a loss", () => {
    const plan = { ...planOf(0), target: { ids: [], runId: "run", expiredKeys: 500 } };
    expect(compare(plan, foundWith())).toEqual([]);
  });
});

describe("a comparison with a cluster", () => {
  const shard = (runId: string, expiredKeys: number) => ({ runId, expiredKeys });
  const plan = (shards: { runId: string; expiredKeys: number }[]): RestorePlan => ({
    ...planOf(0),
    target: { ids: [], runId: "all", expiredKeys: 9, shards },
    loaded: [loadedOf({ databases: { 0: { keys: 10, expires: 4 } }, functions: 0 })],
  });
  const found = (expires: number, shards: { runId: string; expiredKeys: number }[]): Found => ({
    ...{ runId: "other", expiredKeys: 99, shards },
    databases: { 0: { keys: 6 + expires, expires } },
  });

  it("counts what expired at each primary that was there before, and believes no other", () => {
    const before = [shard("a", 5), shard("b", 4)];
    expect(compare(plan(before), found(2, [shard("a", 6), shard("b", 5)]))).toEqual([]);
    expect(compare(plan(before), found(2, [shard("a", 6), shard("c", 50)]))).toEqual([
      "2 keys with expiry are missing, 1 have expired since",
    ]);
  });
});
