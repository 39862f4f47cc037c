import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RdbFacts } from "../../shared/backup/backup.ts";
import { type CheckName, checkNames, refusalOf } from "../../shared/backup/check.ts";
import { type Preflight, preflight } from "../../shared/backup/preflight.ts";
import type { Target } from "../../shared/backup/target.ts";

const file = (changes: Partial<RdbFacts> = {}): RdbFacts => ({
  sizeBytes: 1_000,
  magic: "REDIS",
  rdbVersion: 11,
  minimumRdbVersion: 11,
  crc64: "ok",
  keys: 10,
  expires: 0,
  functions: 0,
  databases: { 0: { keys: 10, expires: 0, types: { string: 10 } } },
  largestRecordBytes: 100,
  moduleTypes: [],
  slotImports: 0,
  usedMemoryBytes: 5_000,
  ...changes,
});

const target = (changes: Partial<Target> = {}): Target => ({
  product: "Valkey",
  version: "8.0.1",
  rdbVersion: 11,
  mode: "CLUSTER_DISABLED",
  role: "PRIMARY",
  replicaCount: 0,
  databases: {},
  databaseCount: 16,
  modules: [],
  functionCount: 0,
  functionLibraries: [],
  usedMemoryBytes: 1_000,
  maxMemoryBytes: 0,
  maxMemoryPolicy: "noeviction",
  systemMemoryBytes: 1_000_000,
  maxBulkBytes: 536_870_912,
  ...changes,
});

const shape = { mode: "CLUSTER_DISABLED", shardCount: 1, replicaCount: 0 } as const;

/** What `target` lacks of these, as a server that does not tell them. */
function silent(...fields: (keyof Target)[]): Target {
  const found = target();
  for (const field of fields) delete found[field];
  return found;
}

const checksOf = (changes: Partial<Preflight>) =>
  preflight({ files: [file()], registered: shape, allowShrink: false, target: target(), shardCount: 1, ...changes });

/** One check of a preflight in which nothing else is unusual, as `RESULT message`. */
function found(name: CheckName, changes: Partial<Preflight>): string {
  const check = checksOf(changes).find((one) => one.name === name);
  return `${check?.result} ${check?.message}`;
}

const inDatabases = (...numbers: number[]): RdbFacts =>
  file({ databases: Object.fromEntries(numbers.map((db) => [db, { keys: 1, expires: 0, types: { string: 1 } }])) });

describe("a preflight", () => {
  it("tells every check, those that pass too, in one order", () => {
    const checks = checksOf({ wanted: shape });
    expect(checks.map(({ name }) => name)).toEqual(checkNames);
    expect(checks.filter(({ result }) => result !== "PASS")).toEqual([]);
    expect(checks.every(({ message }) => message.length > 5)).toBe(true);
    expect(refusalOf(checks)).toBeUndefined();
  });

  it("refuses with the first check that fails, and names the others", () => {
    const checks = checksOf({ target: target({ role: "REPLICA", databases: { 0: { keys: 3 } }, rdbVersion: 9 }) });
    expect(refusalOf(checks)).toBe("the target is a replica; name its primary; the checks of empty, version fail too");
  });

  it("does not refuse for what is only to be warned of, or not known", () => {
    const strange = {
      ...silent("functionCount", "databaseCount"),
      maxMemoryBytes: 10_000,
      maxMemoryPolicy: "allkeys-lru",
    };
    const checks = checksOf({ files: [file({ functions: 1 })], target: strange });
    expect(new Set(checks.map(({ result }) => result))).toEqual(new Set(["PASS", "WARN", "UNKNOWN"]));
    expect(refusalOf(checks)).toBeUndefined();
  });
});

describe("the checks of mode, role and emptiness", () => {
  it("refuse a target that does not run as it is registered", () => {
    const message = "the target is registered as CLUSTER_DISABLED, but runs as CLUSTER: --mode corrects that";
    expect(found("mode", { target: target({ mode: "CLUSTER" }) })).toBe(`FAIL ${message}`);
  });

  it("refuse a replica", () => {
    expect(found("role", { target: target({ role: "REPLICA" }) })).toMatch(/^FAIL the target is a replica/);
  });

  it("refuse one key in any database", () => {
    expect(found("empty", { target: target({ databases: { 7: { keys: 1 } } }) })).toMatch(
      /^FAIL the target holds 1 keys/,
    );
    expect(found("empty", { target: target({ databases: { 7: { keys: 0 } } }) })).toMatch(/^PASS/);
  });
});

describe("the checks of version and family", () => {
  it.each([
    [10, 11, "FAIL the files need RDB version 11, Valkey 8.0.1 reads up to 10"],
    [11, 11, "PASS the files need RDB version 11, Valkey 8.0.1 reads up to 11"],
    [11, 10, "PASS"],
    [80, 11, "PASS"],
  ])("a server that reads up to %i and a file that needs %i: %s", (rdbVersion, minimumRdbVersion, wanted) => {
    const files = [file({ minimumRdbVersion: 1 }), file({ minimumRdbVersion })];
    expect(found("version", { files, target: target({ rdbVersion }) })).toContain(wanted);
  });

  it("refuse types of Redis alone for Valkey, whatever version it reads", () => {
    const files = [file({ magic: "REDIS", minimumRdbVersion: 12 })];
    expect(found("family", { files, target: target({ rdbVersion: 80 }) })).toMatch(
      /^FAIL the files hold types that only/,
    );
    expect(found("family", { files, target: target({ product: "Redis", rdbVersion: 12 }) })).toMatch(/^PASS/);
  });

  it("refuse types of Valkey alone for Redis, by their version", () => {
    const files = [file({ magic: "VALKEY", rdbVersion: 80, minimumRdbVersion: 80 })];
    const redis = target({ product: "Redis", version: "8.0.6", rdbVersion: 12 });
    expect(refusalOf(checksOf({ files, target: redis }))).toMatch(/need RDB version 80, Redis 8.0.6 reads up to 12/);
  });
});

it("a file from the midst of a slot migration is refused, of however many it is one", () => {
  const files = [file({}), file({ slotImports: 2 })];
  expect(found("migration", { files })).toMatch(/^FAIL the files were taken during 2 slot migrations/);
  expect(found("migration", { files: [file({})] })).toMatch(/^PASS/);
});

describe("the check of modules", () => {
  const of = (moduleTypes: string[], modules: string[], product: Target["product"] = "Valkey") =>
    found("modules", { files: [file({ moduleTypes })], target: target({ modules, product }) });

  it("fails without the module that a known type comes from, and names it", () => {
    expect(of(["ReJSON-RL"], ["search"])).toBe(
      "FAIL the files hold values of modules (ReJSON-RL), the target has the modules search; load what is missing there (ReJSON-RL: ReJSON or json)",
    );
    expect(of(["TSDB-TYPE"], [])).toMatch(/the target has no module; load what is missing/);
  });

  it.each([["ReJSON"], ["json"]])("passes JSON values where %s is loaded", (module) => {
    expect(of(["ReJSON-RL"], [module])).toMatch(/^PASS/);
  });

  it("fails for vector sets anywhere but in Redis, whatever modules there are", () => {
    expect(of(["vectorset"], ["lua"])).toMatch(/^FAIL .*vectorset: vectorset/);
    expect(of(["vectorset"], ["vectorset"], "Redis")).toMatch(/^PASS/);
  });

  it("does not take one module called bf for the other", () => {
    expect(of(["MBbloom--"], ["bf"], "Valkey")).toMatch(
      /^UNKNOWN .*whether one of them reads MBbloom-- cannot be told/,
    );
    expect(of(["MBbloom--"], ["bf"], "Redis")).toMatch(/^PASS/);
    expect(of(["bloomfltr"], ["bf"], "Valkey")).toMatch(/^PASS/);
  });

  it("cannot tell of a type that it does not know, where there is any module", () => {
    expect(of(["mytype-AZ"], ["mine"])).toMatch(/^UNKNOWN/);
    expect(of(["mytype-AZ"], [])).toMatch(/^FAIL .*mytype-AZ: a module unknown to us/);
  });

  it("fails for one lacking type among several", () => {
    expect(of(["ReJSON-RL", "TSDB-TYPE"], ["json"])).toMatch(/^FAIL .*missing there \(TSDB-TYPE: timeseries\)/);
  });

  it("does not find a module in the names that every object has", () => {
    expect(of(["__proto__"], ["mine"])).toMatch(/^UNKNOWN/);
  });
});

describe("the check of functions", () => {
  const of = (libraries: readonly string[] | undefined, changes: Partial<Target>, functions = 2) =>
    found("functions", { files: [file({ functions })], libraries, target: target(changes) });

  it("passes where the files hold none, whatever the target has", () => {
    expect(of(undefined, { functionCount: 5, rdbVersion: 9 }, 0)).toMatch(/^PASS/);
  });

  it("fails in a server from before functions", () => {
    expect(of(undefined, { rdbVersion: 9, version: "6.2.0", product: "Redis" })).toBe(
      "FAIL the files hold 2 function libraries, Redis 6.2.0 has no functions",
    );
  });

  it("fails for a library of the same name, without naming it", () => {
    const message = of(["mine", "yours"], { functionCount: 3, functionLibraries: ["other", "mine", "more"] });
    expect(message).toMatch(
      /^FAIL .*the target has 3 already, 1 of them by the same name: remove these there with FUNCTION DELETE/,
    );
    expect(message).not.toContain("mine");
  });

  it("fails where only one node of a cluster holds a library of the same name", () => {
    expect(of(["mine"], { mode: "CLUSTER", functionCount: 0, functionLibraries: ["mine"] })).toMatch(
      /^FAIL .*the target has 1 already, 1 of them by the same name/,
    );
  });

  it("warns of libraries by other names: what they define may still be the same", () => {
    expect(of(["mine"], { functionCount: 1, functionLibraries: ["Mine"] })).toMatch(/^WARN .*by other names/);
  });

  it("is not known where the target does not tell", () => {
    const files = [file({ functions: 1 })];
    expect(found("functions", { files, target: silent("functionCount", "functionLibraries") })).toMatch(
      /^UNKNOWN .*grant \+function\|stats/,
    );
    const counted = { ...silent("functionLibraries"), functionCount: 1 };
    expect(found("functions", { files, libraries: ["a"], target: counted })).toMatch(
      /^UNKNOWN .*grant \+function\|list/,
    );
  });

  it("warns where not every file holds the same libraries: the first file's are loaded", () => {
    const files = [file({ functions: 1 }), file({ functions: 2 })];
    expect(found("functions", { files })).toMatch(
      /^WARN .*hold 1 function libraries.*those of the first file are loaded/,
    );
    const full = target({ functionCount: 1, functionLibraries: ["a"] });
    expect(found("functions", { files, libraries: ["a"], target: full })).toMatch(/^FAIL/);
  });
});

describe("the check of databases", () => {
  it.each([
    [[0], 1, "PASS"],
    [[0, 15], 16, "PASS the files use databases 0, 15, the target has 16"],
    [[0, 16], 16, "FAIL the files use databases 0, 16, the target has 16: set `databases` to at least 17 there"],
    [[3], 1, "FAIL the files use databases 3, the target has 1: set `databases` to at least 4 there"],
    [[], 1, "PASS the files hold no keys"],
  ])("databases %j in a target of %i: %s", (numbers, databaseCount, wanted) => {
    expect(found("databases", { files: [inDatabases(...numbers)], target: target({ databaseCount }) })).toContain(
      wanted,
    );
  });

  it("is not known where CONFIG GET is forbidden, but for database 0", () => {
    const closed = silent("databaseCount");
    expect(found("databases", { files: [inDatabases(0, 1)], target: closed })).toMatch(
      /^UNKNOWN .*grant \+config\|get/,
    );
    expect(found("databases", { files: [inDatabases(0)], target: closed })).toMatch(/^PASS/);
  });

  it("refuses several databases in cluster mode, whatever is configured", () => {
    const cluster = target({ mode: "CLUSTER", databaseCount: 16 });
    const message =
      "FAIL the files use databases 0, 1; cluster mode has one database, 0: restore into a target without cluster mode";
    expect(found("databases", { files: [inDatabases(0), inDatabases(1)], target: cluster })).toBe(message);
    expect(found("databases", { files: [inDatabases(0)], target: cluster })).toMatch(/^PASS/);
  });

  it("passes exactly when the target has the highest database", () => {
    const databases = fc.uniqueArray(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(databases, fc.integer({ min: 1, max: 10_000 }), (numbers, databaseCount) => {
        const message = found("databases", { files: [inDatabases(...numbers)], target: target({ databaseCount }) });
        expect(message.startsWith("PASS")).toBe(Math.max(...numbers) < databaseCount);
      }),
    );
  });
});

describe("a cluster in which one node has less room than its share of the slots", () => {
  const files = [file({ usedMemoryBytes: 5_000 })];
  const of = (changes: Partial<Target>) => target({ mode: "CLUSTER", evenRoomBytes: 3_000, ...changes });

  it("is warned of where all nodes together have enough, or where others have no limit", () => {
    const message =
      /^WARN .* one node of the target would be full after 3000 bytes, with the keys spread evenly over the slots$/;
    expect(found("memory", { files, target: of({ maxMemoryBytes: 9_000 }) })).toMatch(message);
    expect(found("memory", { files, target: of({ maxMemoryBytes: 0 }) })).toMatch(message);
    expect(found("memory", { files, target: of({ maxMemoryBytes: 9_000, evenRoomBytes: 5_000 }) })).toMatch(/^PASS/);
    expect(found("memory", { files, target: of({ maxMemoryBytes: 4_000 }) })).toMatch(/^FAIL/);
  });

  it("may drop keys there, even where others have no limit", () => {
    const message = /^WARN maxmemory-policy allkeys-lru drops keys .* 3000 are free$/;
    const drops = { maxMemoryPolicy: "allkeys-lru" };
    expect(found("eviction", { files, target: of({ maxMemoryBytes: 0, ...drops }) })).toMatch(message);
    expect(found("eviction", { files, target: of({ maxMemoryBytes: 9_000, ...drops }) })).toMatch(message);
    expect(found("eviction", { files, target: of({ maxMemoryBytes: 4_000, ...drops }) })).toMatch(/^FAIL/);
  });
});

describe("the check of slots", () => {
  const found3 = (...slots: (string | undefined)[]) => found("slots", { slots });

  it("passes where the files hold all, however they are cut, and where nothing is told", () => {
    expect(found3("0-5460", "5461-10922", "10923-16383")).toBe("PASS the files hold every slot of their cluster");
    expect(found3("0-99 101 200-16383", "100 102-199", undefined)).toMatch(/^PASS/);
    expect(found3(undefined, undefined)).toMatch(/^PASS no manifest says that the files are shards of a cluster$/);
    expect(found3()).toMatch(/^PASS/);
  });

  it("fails where a shard's file is missing, also where another is there twice", () => {
    expect(found3("0-5460", "10923-16383")).toMatch(
      /^FAIL the files do not hold every slot of their cluster once: slot 5461 is in none of them: name the file of each/,
    );
    expect(found3("0-5460", "0-5460", "10923-16383")).toMatch(/^FAIL .*: slot 0 is in two of them/);
    expect(found3("0-16382")).toMatch(/^FAIL .*: slot 16383 is in none/);
  });

  it("warns where the files that hold all are of several backups, which were taken at different times", () => {
    const slots = ["0-5460", "5461-16383"];
    expect(found("slots", { slots, backups: ["monday", "monday"] })).toMatch(/^PASS/);
    expect(found("slots", { slots, backups: ["monday", "tuesday"] })).toMatch(
      /^WARN the files hold every slot .* of 2 backups \(monday, tuesday\)/,
    );
    expect(found("slots", { slots: ["0-9", "11-16383"], backups: ["monday", "tuesday"] })).toMatch(
      /^FAIL .*: slot 10 is/,
    );
    expect(found("slots", { slots: [undefined, undefined], backups: ["monday", "tuesday"] })).toMatch(/^PASS/);
  });

  it("is not known where a file that no manifest tells of may be the missing one", () => {
    expect(found3("0-5460", undefined)).toMatch(
      /^UNKNOWN .*: slot 5461 is in none of them, but no manifest tells the slots of all files/,
    );
  });
});

describe("the check of the largest record", () => {
  const of = (largestRecordBytes: number, found_: Target) =>
    found("record", { files: [file(), file({ largestRecordBytes })], target: found_ });

  it("counts the footer that RESTORE adds", () => {
    expect(of(100, target({ maxBulkBytes: 110 }))).toMatch(/^PASS the largest record has 110 bytes/);
    expect(of(101, target({ maxBulkBytes: 110 }))).toMatch(/^FAIL the largest record has 111 bytes/);
  });

  it("takes the default where CONFIG GET is forbidden, and says so", () => {
    const closed = silent("maxBulkBytes");
    expect(of(1_048_566, closed)).toMatch(/^PASS .*the default of proto-max-bulk-len/);
    expect(of(1_048_567, closed)).toMatch(/^UNKNOWN .*grant \+config\|get/);
    expect(of(536_870_902, closed)).toMatch(/^UNKNOWN/);
    expect(of(536_870_903, closed)).toMatch(/^FAIL/);
  });
});

describe("the checks of memory and eviction", () => {
  const limited = (maxMemoryBytes: number, maxMemoryPolicy = "noeviction") =>
    target({ maxMemoryBytes, maxMemoryPolicy });

  it("adds up what the servers of all files used, and what the target uses already", () => {
    const files = [file({ usedMemoryBytes: 3_000 }), file({ usedMemoryBytes: 4_000 })];
    expect(found("memory", { files, target: limited(8_000) })).toBe(
      "PASS about 7000 bytes of memory are needed, 7000 are free under maxmemory 8000",
    );
    expect(found("memory", { files, target: limited(7_999) })).toMatch(/^FAIL .*6999 are free/);
  });

  it("takes the size of a file that does not tell, and says that it may be more", () => {
    const { usedMemoryBytes: _, ...mute } = file({ sizeBytes: 900 });
    expect(found("memory", { files: [mute], target: limited(10_000) })).toMatch(/^PASS at least 900 bytes/);
  });

  it("never tells of less than nothing free", () => {
    expect(found("memory", { target: target({ maxMemoryBytes: 500, usedMemoryBytes: 1_000 }) })).toMatch(/ 0 are free/);
  });

  it("only warns where the machine's memory is the limit", () => {
    expect(found("memory", { target: target({ systemMemoryBytes: 5_999 }) })).toMatch(/^WARN .*its machine has 5999/);
    expect(found("memory", { target: target({ systemMemoryBytes: 6_000 }) })).toMatch(/^PASS/);
    expect(found("memory", { target: silent("systemMemoryBytes") })).toMatch(/^UNKNOWN/);
  });

  it.each([
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-ttl",
    "volatile-lru",
  ])("fails under %s where the keys would not fit, and warns where they do", (policy) => {
    const files = [file({ expires: 1 })];
    expect(found("eviction", { files, target: limited(5_999, policy) })).toMatch(
      /^FAIL .*raise maxmemory, or set noevic/,
    );
    expect(found("eviction", { files, target: limited(6_000, policy) })).toMatch(/^WARN/);
    expect(found("eviction", { files, target: limited(0, policy) })).toMatch(/^PASS .*evicts nothing/);
  });

  it("passes under noeviction, and where a volatile policy finds nothing to drop", () => {
    expect(found("eviction", { target: limited(10) })).toMatch(/^PASS/);
    expect(found("eviction", { target: limited(10, "volatile-lru") })).toMatch(/^PASS .*the files hold none/);
  });

  it("is not known where the target keeps its policy to itself", () => {
    expect(found("eviction", { target: { ...silent("maxMemoryPolicy"), maxMemoryBytes: 10 } })).toMatch(/^UNKNOWN/);
  });

  it("lets nothing through that would be dropped", () => {
    const bytes = fc.integer({ min: 1, max: 10_000 });
    const policy = fc.constantFrom("noeviction", "allkeys-lru", "volatile-ttl");
    fc.assert(
      fc.property(bytes, bytes, bytes, policy, (needed, max, used, maxMemoryPolicy) => {
        const files = [file({ usedMemoryBytes: needed, expires: 1 })];
        const tight = target({ maxMemoryBytes: max, usedMemoryBytes: used, maxMemoryPolicy });
        const isRefused = refusalOf(checksOf({ files, target: tight })) !== undefined;
        expect(isRefused).toBe(needed + used > max);
      }),
    );
  });
});

describe("the checks of shards, replicas and node type", () => {
  const wanted = { ...shape, shardCount: 1, replicaCount: 2, nodeType: "STANDARD_SMALL" };

  it("refuse a target with fewer shards than the Backup, unless it may shrink", () => {
    const two = { ...wanted, shardCount: 2 };
    expect(found("shards", { wanted: two })).toBe(
      "FAIL the Backup has shards: 2, the target has 1; --allow-shrink permits that",
    );
    expect(found("shards", { wanted: two, allowShrink: true })).toMatch(/^WARN .*which allowShrink permits/);
    expect(found("shards", { wanted })).toMatch(/^PASS/);
  });

  it("take a cluster of more shards than the Backup", () => {
    expect(found("shards", { wanted, shardCount: 3 })).toMatch(/^PASS/);
  });

  it("do not count the shards of a target in another mode", () => {
    expect(found("shards", { wanted, shardCount: undefined })).toMatch(/^UNKNOWN/);
  });

  it.each([
    [1, 0, false, "FAIL the Backup has replicas: 2, the target has 1"],
    [1, 0, true, "WARN"],
    [2, 0, false, "PASS"],
    [2, 3, false, "WARN the Backup has replicas: 2, the target has 2; it is registered with 3"],
    [9, 0, false, "PASS"],
  ])("%i replicas, %i registered, may shrink %s: %s", (replicaCount, registered, allowShrink, message) => {
    const given = { wanted, allowShrink, target: target({ replicaCount }) };
    expect(found("replicas", { ...given, registered: { ...shape, replicaCount: registered } })).toContain(message);
  });

  it("ask nothing of a target for files from a bucket", () => {
    const checks = checksOf({ wanted: undefined });
    const names = ["shards", "replicas", "nodeType"];
    expect(checks.filter(({ name }) => names.includes(name)).map(({ result }) => result)).toEqual([
      "PASS",
      "PASS",
      "PASS",
    ]);
  });

  it.each([
    ["STANDARD_SMALL", false, "PASS"],
    ["HIGHMEM_XLARGE", false, "PASS"],
    ["SHARED_CORE_NANO", false, "FAIL"],
    ["SHARED_CORE_NANO", true, "WARN"],
    ["HIGHMEM_HUGE_OF_2030", false, "UNKNOWN"],
  ])("a target of %s for a Backup of STANDARD_SMALL, may shrink %s: %s", (nodeType, allowShrink, result) => {
    expect(found("nodeType", { wanted, allowShrink, registered: { ...shape, nodeType } }).split(" ")[0]).toBe(result);
  });

  it("cannot tell the node type of a server of one's own", () => {
    expect(found("nodeType", { wanted })).toMatch(/^UNKNOWN the Backup is of STANDARD_SMALL/);
  });
});
