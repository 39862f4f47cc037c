import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import { isUndoList, undoPrefix } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import {
  type ConflictPolicy,
  conflictPolicies,
  type ExpiryPolicy,
  expiryPolicies,
} from "../../shared/backup/selection.ts";
import { StatusError } from "../../shared/error.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { check } from "../../shared/rdb/check.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { preamble } from "../aof/files.ts";
import { change } from "./change.ts";
import {
  askKeys,
  heldBy,
  type Key,
  type Keyspace,
  liveServer,
  losingFirstAnswer,
  nightly,
  patternIn,
  put,
  undo,
  withLive,
  writtenBetween,
} from "./live.ts";
import { objectsOf } from "./objects.ts";
import { begun, operationsOf, requested } from "./requested.ts";
import { inbox, vault, type World } from "./world.ts";

/** The world's clock begins there; backups and requests are some seconds later. */
const begin = Date.UTC(2026, 0, 1);
const past = begin - 86_400_000;
const future = begin + 86_400_000;

const key = fc.record({
  db: fc.constantFrom(0, 0, 0, 1),
  name: fc.constantFrom("user:1", "user:2", "user:3", "other:1"),
  text: fc.constantFrom("a", "b"),
  expireTimeMs: fc.constantFrom(-1, past, future, future + 1000),
});
const keyspace = fc.uniqueArray(key, { selector: ({ db, name }) => `${db}:${name}`, maxLength: 8 });
/** A live server drops what has expired. */
const liveKeyspace = keyspace.map((keys) => keys.filter(({ expireTimeMs }) => expireTimeMs !== past));

const spaceOf = (keys: readonly Key[]): Keyspace =>
  Object.fromEntries(
    keys.map(({ db = 0, name, text, expireTimeMs = -1 }) => [`${db}:${name}`, { text, expireTimeMs }] as const).sort(),
  );

/** What a restore of `user:*` of database 0 makes of a keyspace, but for the time by which SHIFT moves expiries. */
function expected(
  backedUp: Keyspace,
  live: Keyspace,
  policy: ConflictPolicy,
  expiry: ExpiryPolicy,
  shift: number,
): Keyspace {
  const wanted = Object.entries(backedUp).filter(
    ([name, { expireTimeMs }]) => name.startsWith("0:user:") && expireTimeMs !== past,
  );
  if (policy === "FAIL" && wanted.some(([name]) => live[name] !== undefined)) return live;
  const after = { ...live };
  for (const [name, { text, expireTimeMs }] of wanted) {
    const moved = expireTimeMs === -1 || expiry === "PERSIST" ? -1 : expireTimeMs + (expiry === "SHIFT" ? shift : 0);
    if (live[name] === undefined || policy === "REPLACE") after[name] = { text, expireTimeMs: moved };
  }
  return Object.fromEntries(Object.entries(after).sort());
}

describe.each(conflictPolicies)("keys restored with the policy %s", (conflictPolicy) => {
  it.each(
    expiryPolicies,
  )("and expiry %s are as a model says, and as before once that is undone", async (expiryPolicy) => {
    await fc.assert(
      fc.asyncProperty(keyspace, liveKeyspace, fc.boolean(), async (backedUp, live, execute) => {
        const world = await withLive(backedUp, live);
        const before = heldBy(world);
        const request = { conflictPolicy, expiryPolicy, database: 0, execute };
        const operation = await askKeys(world, "user:*", request);
        const snapshot = Date.parse(operation.selection?.files[0]?.snapshotTime ?? "");
        const shift = Date.parse(operation.createTime) - snapshot;
        expect(shift).toBeGreaterThan(0);
        const model = expected(spaceOf(backedUp), spaceOf(live), conflictPolicy, expiryPolicy, shift);
        expect(heldBy(world)).toEqual(execute ? model : before);
        if (!execute || operation.error !== undefined) return;
        expect((await undo(world, operation)).error).toBeUndefined();
        expect(heldBy(world)).toEqual(before);
      }),
      { numRuns: 40 },
    );
  });
});

const secret = "user:42:secret";
const backedUp = [
  { name: secret, text: "old" },
  { name: "user:42:cart", text: "old" },
  { name: "user:42:gone", text: "old" },
  { name: "user:7:cart", text: "old" },
];
const live = [
  { name: secret, text: "live" },
  { name: "user:42:cart", text: "old" },
  { name: "theirs", text: "live" },
];

describe("a restore of single keys", () => {
  let world: World;
  beforeEach(async () => {
    world = await withLive(backedUp, live);
  });

  const restores = async () => (await operationsOf(world, "restore")).length;

  it("only tells what it would do, and touches nothing, unless it is told to execute", async () => {
    const before = heldBy(world);
    const { response, error, checks } = await askKeys(world, "user:42:*");
    expect([response, error]).toEqual([
      { instance: "instances/copy", matched: 3, expired: 0, existing: 2, identical: 1, different: 1 },
      undefined,
    ]);
    expect(checks?.map(({ name, result }) => `${name} ${result}`)).toEqual(
      ["mode", "role", "version", "family", "modules", "databases", "record", "memory", "eviction"].map(
        (name) => `${name} PASS`,
      ),
    );
    expect(heldBy(world)).toEqual(before);
    expect((await objectsOf(world, vault)).filter((name) => name.startsWith("undos/"))).toEqual([]);
    expect((await world.ports.store.get<Instance>("instances/copy"))?.data.restoring).toBeUndefined();
  });

  it("names no key, no pattern and no value in any document, event, log line or error", async () => {
    const operation = await askKeys(world, secret, { conflictPolicy: "REPLACE", execute: true });
    await undo(world, operation);
    await askKeys(world, secret, { conflictPolicy: "FAIL", execute: true });
    const said = JSON.stringify([world.ports.store.all(), world.events.messages, world.lines]);
    expect(said).not.toMatch(/secret|user:42|live"/);
    expect(said).not.toContain(Buffer.from(secret).toString("base64").slice(0, 12));
    expect(said).not.toContain(Buffer.from(secret).toString("hex"));
  });

  it("puts what it replaces into the vault first, as an RDB file, and what it creates as a list", async () => {
    const { name } = await askKeys(world, "user:42:*", { conflictPolicy: "REPLACE", execute: true });
    const objects = await objectsOf(world, vault);
    const undos = objects.filter((object) => object.startsWith(undoPrefix(name)));
    expect(undos.filter(isUndoList)).toHaveLength(1);
    const file = undos.find((object) => object.endsWith(".rdb")) ?? "";
    expect(await check([world.ports.objects.contents(vault, file) ?? Buffer.alloc(0)])).toMatchObject({ keys: 1 });
  });

  it("writes nothing before what it replaces is in the vault", async () => {
    const { create } = world.ports.objects;
    world.ports.objects.create = async (bucket, object, ...rest) => {
      if (object.startsWith("undos/")) throw new StatusError("PERMISSION_DENIED", "no room");
      return await create(bucket, object, ...rest);
    };
    const before = heldBy(world);
    const { error } = await askKeys(world, "user:42:*", { conflictPolicy: "REPLACE", execute: true });
    expect([error?.code, heldBy(world)]).toEqual(["PERMISSION_DENIED", before]);
  });

  it("that is cut off in the midst of its writes goes on, and its undo knows what was there before", async () => {
    const before = heldBy(world);
    const { exchange } = world.ports.valkey;
    let isCut = false;
    world.ports.valkey.exchange = async (instance, exchanges, ...rest) => {
      if (isCut) return await exchange(instance, exchanges, ...rest);
      isCut = true;
      await exchange(instance, exchanges.slice(0, 1), ...rest);
      throw new StatusError("UNAVAILABLE", "cut off");
    };
    const operation = await askKeys(world, "user:42:*", { conflictPolicy: "REPLACE", execute: true });
    expect(operation.response).toMatchObject({ created: 1, replaced: 1, identical: 1, skipped: 0, changed: 0 });
    await undo(world, operation);
    expect(heldBy(world)).toEqual(before);
  });

  it("that was cut off keeps a key that it may have written itself within reach of a forced undo", async () => {
    const before = heldBy(world);
    // As if the server had laid the value down in another way.
    losingFirstAnswer(world, () => put(liveServer(world), [{ name: secret, text: "old, in other bytes" }]));
    const operation = await askKeys(world, "user:42:*", { conflictPolicy: "REPLACE", execute: true });
    expect(operation.response).toMatchObject({ created: 1, replaced: 0, changed: 1 });
    expect((await undo(world, operation)).response).toMatchObject({ deleted: 1, changed: 1 });
    expect((await undo(world, operation, { force: true })).response).toMatchObject({ restored: 1 });
    expect(heldBy(world)).toEqual(before);
  });

  it("does not count what an earlier attempt wrote as a conflict under SKIP", async () => {
    losingFirstAnswer(world);
    const { response } = await askKeys(world, "user:*", { execute: true });
    expect(response).toMatchObject({ created: 2, identical: 1, skipped: 1, changed: 0 });
  });

  it("writes no group a second time: what somebody has deleted since does not come back", async () => {
    const { create } = world.ports.objects;
    world.ports.objects.create = async (bucket, object, ...rest) => {
      const info = await create(bucket, object, ...rest);
      if (!object.endsWith("-done.json")) return info;
      world.ports.objects.create = create;
      liveServer(world).shards[0]?.delete(keyName(0, "user:42:gone"));
      throw new StatusError("UNAVAILABLE", "the answer was lost");
    };
    const operation = await askKeys(world, "user:42:gone", { execute: true });
    expect(operation.response).toMatchObject({ created: 1, changed: 0 });
    expect(heldBy(world)["0:user:42:gone"]).toBeUndefined();
  });

  it("leaves a key to the writer who came between the look and the write", async () => {
    writtenBetween(world, [
      { name: secret, text: "newer" },
      { name: "user:42:gone", text: "newer" },
    ]);
    const operation = await askKeys(world, "user:42:*", { conflictPolicy: "REPLACE", execute: true });
    expect(operation.response).toMatchObject({ created: 0, replaced: 0, identical: 1, changed: 2 });
    expect(heldBy(world)).toMatchObject({ [`0:${secret}`]: { text: "newer" }, "0:user:42:gone": { text: "newer" } });
    const { response } = await undo(world, operation, { force: true });
    expect(response).toMatchObject({ restored: 0, deleted: 0, already: 0, changed: 0 });
    expect(heldBy(world)).toMatchObject({ [`0:${secret}`]: { text: "newer" }, "0:user:42:gone": { text: "newer" } });
  });

  it("does not take back a key that somebody else wrote, with the same value, between the look and the write", async () => {
    writtenBetween(world, [{ name: "user:42:gone", text: "old" }]);
    const operation = await askKeys(world, "user:42:gone", { execute: true });
    expect(operation.response).toMatchObject({ created: 0, identical: 1, changed: 0 });
    await undo(world, operation, { force: true });
    expect(heldBy(world)["0:user:42:gone"]?.text).toBe("old");
  });

  it("under FAIL is refused where a key appears after the look, and says how to take back what was written", async () => {
    liveServer(world).shards[0]?.clear();
    writtenBetween(world, [{ name: "user:42:gone", text: "newer" }]);
    const operation = await askKeys(world, "user:42:*", { conflictPolicy: "FAIL", execute: true });
    expect(operation.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/has got a key of the selection since.*valkeep restores undo restore-/),
    });
    await undo(world, operation);
    expect(heldBy(world)).toEqual({ "0:user:42:gone": { text: "newer", expireTimeMs: -1 } });
  });

  it("under FAIL is refused where a key appears after the comparison, before the first write", async () => {
    liveServer(world).shards[0]?.clear();
    const selection = await patternIn(world, "user:42:*");
    const data = { instance: "copy", backup: nightly, selection, conflictPolicy: "FAIL", execute: true };
    await world.events.publish({ type: "selection.v1.requested", data, attributes: {} });
    for (let step = 0; step < 2; step++) for (const message of world.events.take()) await world.deliver(message);
    put(liveServer(world), [{ name: "user:42:gone", text: "newer" }]);
    await world.settle();
    const [operation] = await operationsOf(world, "restore");
    expect(operation?.error?.message).toMatch(/has got a key of the selection since/);
    expect(heldBy(world)).toEqual({ "0:user:42:gone": { text: "newer", expireTimeMs: -1 } });
  });

  it("goes on in a further message where there is much, and so does its undo", async () => {
    const many = Array.from({ length: 100 }, (_, n) => ({ name: `many:${n}`, text: "old" }));
    const some = many.slice(0, 50).map(({ name }) => ({ name, text: "live" }));
    world = await withLive(many, some);
    const before = heldBy(world);
    const started = world.clock.monotonic();
    const epochs = new Set<string>();
    const { exchange } = world.ports.valkey;
    world.ports.valkey.exchange = (instance, exchanges, options, signal) => {
      epochs.add(`${options.operation} ${options.epoch}`);
      return exchange(instance, exchanges, options, signal);
    };
    const request = { conflictPolicy: "REPLACE" as const, maxKeysPerSecond: 1, execute: true };
    const operation = await askKeys(world, "many:*", request);
    expect(operation.response).toMatchObject({ matched: 100, created: 50, replaced: 50 });
    // 100 looks of the examination; 100 looks, 50 dumps and 100 writes of the merge.
    expect(world.clock.monotonic() - started).toBeGreaterThan(340_000);
    const lists = (await objectsOf(world, vault)).filter(isUndoList);
    expect(lists.length).toBeGreaterThan(3);
    const { response } = await undo(world, operation, { maxKeysPerSecond: 1 });
    expect(response).toMatchObject({ restored: 50, deleted: 50, changed: 0, already: 0 });
    expect(heldBy(world)).toEqual(before);
    // Of each message its own: what one of an earlier round left is cut off, and holds up nobody.
    expect([...epochs].filter((epoch) => epoch.startsWith("restore-")).length).toBeGreaterThan(1);
  });

  it("touches no more keys in any second than it was allowed, its undo too", async () => {
    const many = Array.from({ length: 170 }, (_, n) => ({ name: `many:${n}`, text: "old" }));
    world = await withLive(
      many,
      many.slice(0, 70).map(({ name }) => ({ name, text: "live" })),
    );
    const touched: { time: number; keys: number }[] = [];
    const note = (keys: number) => touched.push({ time: world.clock.monotonic(), keys });
    const { dump, exchange } = world.ports.valkey;
    world.ports.valkey.dump = (...args) => {
      note(args[2].length);
      return dump(...args);
    };
    world.ports.valkey.exchange = async (...args) => {
      await world.clock.sleep(300);
      note(args[1].length);
      return await exchange(...args);
    };
    const request = { conflictPolicy: "REPLACE" as const, maxKeysPerSecond: 50, execute: true };
    const operation = await askKeys(world, "many:*", request);
    await undo(world, operation, { maxKeysPerSecond: 50 });
    expect(touched.reduce((sum, { keys }) => sum + keys, 0)).toBeGreaterThan(500);
    for (const { time } of touched) {
      const within = touched.filter((other) => other.time >= time && other.time < time + 1_000);
      expect(within.reduce((sum, { keys }) => sum + keys, 0)).toBeLessThanOrEqual(50);
    }
  });

  it.each([
    ["twice at once", { isTwice: true }],
    ["once in vain", { isForgetful: true }],
  ])("comes to the same when each of many messages comes %s", async (_, manner) => {
    const many = Array.from({ length: 70 }, (__, n) => ({ name: `many:${n}`, text: "old" }));
    world = await withLive(many, [
      { name: "many:3", text: "live" },
      { name: "theirs", text: "live" },
    ]);
    const before = heldBy(world);
    const selection = await patternIn(world, "many:*");
    const policy = { conflictPolicy: "REPLACE", maxKeysPerSecond: 1, execute: true };
    const data = { instance: "copy", backup: nightly, selection, ...policy, requestId: "r1" };
    await world.events.publish({ type: "selection.v1.requested", data, attributes: {} });
    await world.settle(manner);
    const [operation] = await operationsOf(world, "restore");
    expect([operation?.error, operation?.response]).toEqual([
      undefined,
      expect.objectContaining({ matched: 70, created: 69, replaced: 1, identical: 0, skipped: 0, changed: 0 }),
    ]);
    await world.events.publish({
      type: "undo.v1.requested",
      data: { restore: operation?.name, maxKeysPerSecond: 1, execute: true },
      attributes: {},
    });
    await world.settle(manner);
    expect((await operationsOf(world, "undo"))[0]?.error).toBeUndefined();
    expect(heldBy(world)).toEqual(before);
  });

  it("takes files in a bucket too", async () => {
    const gcsSourceUris = [`gs://${vault}/${nightly}/0.rdb`];
    const selection = await patternIn(world, "user:7:*");
    const data = { instance: "copy", gcsSourceUris, selection, execute: true };
    expect((await begun(world, "selection.v1.requested", data)).response).toMatchObject({ matched: 1, created: 1 });
  });

  it("is asked twice with one requestId, and done once; the dry run is another one", async () => {
    const selection = await patternIn(world, "user:42:*");
    const data = { instance: "copy", backup: nightly, selection, requestId: "one" };
    for (const execute of [false, true, true]) await requested(world, "selection.v1.requested", { ...data, execute });
    expect(await restores()).toBe(2);
  });

  it.each<[string, object, string, RegExp]>([
    ["an instance that nobody registered", { instance: "nobody" }, "NOT_FOUND", /nobody is not registered/],
    ["a backup that is not there", { backup: nightly.replace("nightly", "none") }, "NOT_FOUND", /there is no/],
    [
      "a backup and files",
      { gcsSourceUris: [`gs://${inbox}/a.rdb`] },
      "INVALID_ARGUMENT",
      /one of backup and gcsSourceUris/,
    ],
    ["neither", { backup: undefined }, "INVALID_ARGUMENT", /one of backup and gcsSourceUris/],
    ["a pattern that is not there", { selection: "selections/00000000.json" }, "NOT_FOUND", /there is no gs:/],
    [
      "a pattern in place of its object",
      { selection: "user:42:*" },
      "INVALID_ARGUMENT",
      /malformed selection: expected/,
    ],
    ["a policy that there is none of", { conflictPolicy: "MERGE" }, "INVALID_ARGUMENT", /conflictPolicy/],
    ["an expiry that there is none of", { expiryPolicy: "FOREVER" }, "INVALID_ARGUMENT", /expiryPolicy/],
    ["no keys a second", { maxKeysPerSecond: 0 }, "INVALID_ARGUMENT", /maxKeysPerSecond/],
    ["a database that there is none of", { database: -1 }, "INVALID_ARGUMENT", /database/],
    ["something that is no yes or no", { execute: "yes" }, "INVALID_ARGUMENT", /execute/],
  ])("of %s is refused, without a word of the pattern", async (_, data, code, reason) => {
    const { error } = await askKeys(world, "user:42:*", data);
    expect(error).toMatchObject({ code, message: expect.stringMatching(reason) });
    expect(error?.message).not.toContain("user:42");
  });

  it.each([
    ["no JSON", "user:42:*", "DATA_LOSS"],
    ["another JSON", '{"pattern":"user:42:*"}', "DATA_LOSS"],
    ["an empty pattern", '{"keys":""}', "INVALID_ARGUMENT"],
  ])("whose object holds %s is refused, without a word of it", async (_, bytes, code) => {
    const selection = "selections/11111111.json";
    await world.ports.objects.create(vault, selection, once(Buffer.from(bytes)), {});
    const { error } = await begun(world, "selection.v1.requested", { instance: "copy", backup: nightly, selection });
    expect(error?.code).toBe(code);
    expect(error?.message).not.toContain("user:42");
  });

  it("of several databases wants to be told which", async () => {
    world = await withLive([...backedUp, { db: 3, name: "user:42:x", text: "old" }], live);
    const { error } = await askKeys(world, "user:42:*");
    expect(error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/databases 0, 3: --db/),
    });
    expect((await askKeys(world, "user:42:*", { database: 3 })).response).toMatchObject({ matched: 1 });
  });

  it.each([
    ["is a replica", { role: "REPLICA" as const }, /is a replica/],
    ["is too old", { rdbVersion: 0 }, /need RDB version 1/],
    ["has no memory left", { maxMemoryBytes: 1_000_001 }, /of memory are needed/],
    ["takes no such value", { maxBulkBytes: 10 }, /the target takes 10/],
  ])("into a target that %s is refused before it writes", async (_, answers, reason) => {
    const before = heldBy(world);
    liveServer(world).answers = answers;
    const { error } = await askKeys(world, "user:*", { execute: true });
    expect(error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringMatching(reason) });
    expect(heldBy(world)).toEqual(before);
  });

  it("into a server of a format that no undo could be read from is refused", async () => {
    liveServer(world).answers = { rdbVersion: 81 };
    const { error } = await askKeys(world, "user:*", { execute: true });
    expect(error).toMatchObject({ code: "UNIMPLEMENTED", message: expect.stringMatching(/could not be put back/) });
  });

  it("keeps others from the instance while it writes, as its undo does, and no longer", async () => {
    const during: (string | undefined)[] = [];
    const restoring = async () => (await world.ports.store.get<Instance>("instances/copy"))?.data.restoring;
    const { exchange } = world.ports.valkey;
    world.ports.valkey.exchange = async (...args) => {
      during.push(await restoring());
      return await exchange(...args);
    };
    const operation = await askKeys(world, "user:7:*", { execute: true });
    const undone = await undo(world, operation);
    expect([during, await restoring()]).toEqual([[operation.name, undone.name], undefined]);
  });
});

describe("an undo", () => {
  let world: World;
  let operation: Operation;
  const request = { conflictPolicy: "REPLACE", execute: true } as const;
  beforeEach(async () => {
    world = await withLive(backedUp, live);
    operation = await askKeys(world, "user:42:*", request);
  });

  it.each([false, undefined])("only tells what it would do unless it is told to execute: %s", async (execute) => {
    const before = heldBy(world);
    const { response } = await undo(world, operation, { execute });
    expect([response, heldBy(world)]).toEqual([
      { restore: operation.name, restored: 1, deleted: 1, already: 0, changed: 0 },
      before,
    ]);
  });

  it("leaves keys that somebody has changed since, unless it is forced", async () => {
    put(liveServer(world), [{ name: secret, text: "newer" }]);
    expect((await undo(world, operation, { execute: false })).response).toMatchObject({ restored: 0, changed: 1 });
    expect((await undo(world, operation)).response).toMatchObject({ restored: 0, deleted: 1, changed: 1 });
    expect(heldBy(world)[`0:${secret}`]?.text).toBe("newer");
    const forced = { execute: false, force: true };
    expect((await undo(world, operation, forced)).response).toMatchObject({ restored: 1, changed: 0, already: 1 });
    expect((await undo(world, operation, { force: true })).response).toMatchObject({ restored: 1, changed: 0 });
    expect(heldBy(world)[`0:${secret}`]?.text).toBe("live");
  });

  it("puts back what was there before a key that has expired since, and lets go what would have expired itself", async () => {
    const soon = Date.UTC(2026, 0, 1) + 3_600_000;
    const keys = ["user:1", "user:2"].map((name) => ({ name, text: "old", expireTimeMs: soon }));
    world = await withLive(keys, [
      { name: "user:1", text: "live" },
      { name: "user:2", text: "live", expireTimeMs: soon + 1 },
    ]);
    operation = await askKeys(world, "user:*", request);
    await world.clock.advance(2 * 3_600_000);
    liveServer(world).shards[0]?.clear();
    expect((await undo(world, operation)).response).toMatchObject({ restored: 1, already: 1, changed: 0 });
    expect(heldBy(world)).toEqual({ "0:user:1": { text: "live", expireTimeMs: -1 } });
  });

  it("takes back a key that several files wrote in the opposite order", async () => {
    const before = heldBy(world);
    const gcsSourceUris: string[] = [];
    for (const text of ["first", "second"]) {
      const record = { kind: "record" as const, db: 0, key: Buffer.from(secret), type: 0, value: encodeString(text) };
      const bytes = writeRdb({ magic: "REDIS", rdbVersion: 11 }, [record]);
      await world.ports.objects.create(inbox, `${text}.rdb`, once(bytes), {});
      gcsSourceUris.push(`gs://${inbox}/${text}.rdb`);
    }
    const selection = await patternIn(world, secret);
    const both = await begun(world, "selection.v1.requested", {
      instance: "copy",
      gcsSourceUris,
      selection,
      ...request,
    });
    expect([both.response?.replaced, heldBy(world)[`0:${secret}`]?.text]).toEqual([2, "second"]);
    expect((await undo(world, both)).response).toMatchObject({ restored: 2, changed: 0 });
    expect(heldBy(world)).toEqual(before);
  });

  it("believes no list that somebody else has put beside its own", async () => {
    const foreign = `${undoPrefix(operation.name)}000-${"9".repeat(15)}.json`;
    await world.ports.objects.create(vault, foreign, once(Buffer.from("{}")), {
      operation: "operations/restore-other",
    });
    expect((await undo(world, operation)).response).toMatchObject({ restored: 1, deleted: 1, changed: 0 });
  });

  it("done a second time finds nothing to do", async () => {
    await undo(world, operation);
    expect((await undo(world, operation)).response).toMatchObject({ restored: 0, deleted: 0, already: 2, changed: 0 });
  });

  it("of what was cancelled on its way takes back what was written", async () => {
    world = await withLive(backedUp, live);
    const before = heldBy(world);
    const { exchange } = world.ports.valkey;
    world.ports.valkey.exchange = async (instance, exchanges, options, ...rest) => {
      await exchange(instance, exchanges.slice(0, 1), options, ...rest);
      const name = `operations/${options.operation}`;
      await endOperation(world.ports, name, new StatusError("CANCELLED", "by hand"), true);
      throw new StatusError("UNAVAILABLE", "cut off");
    };
    const cancelled = await askKeys(world, "user:42:*", request);
    expect(cancelled.error?.code).toBe("CANCELLED");
    world.ports.valkey.exchange = exchange;
    expect((await undo(world, cancelled)).response).toMatchObject({ already: 1, changed: 0 });
    expect(heldBy(world)).toEqual(before);
  });

  it("that would leave groups of keys out is refused", async () => {
    const before = heldBy(world);
    const after = { round: 1, group: `000-${"0".repeat(15)}` };
    expect((await undo(world, operation, { after })).error?.code).toBe("INVALID_ARGUMENT");
    expect(heldBy(world)).toEqual(before);
  });

  it("fails where the file lacks a key that is to be put back", async () => {
    const { read } = world.ports.objects;
    world.ports.objects.read = (found, ...rest) =>
      /^undos\/.*\.rdb$/.test(found.object) ? once(preamble(1)) : read(found, ...rest);
    const { error } = await undo(world, operation);
    expect(error).toMatchObject({ code: "DATA_LOSS", message: expect.stringMatching(/lacks 1 of the keys/) });
    expect(error?.message).not.toContain(secret);
  });

  it("of what was cancelled waits until whoever was at it can begin to write no more", async () => {
    world = await withLive(backedUp, live);
    const before = heldBy(world);
    const { exchange } = world.ports.valkey;
    let late: Promise<unknown> | undefined;
    world.ports.valkey.exchange = async (instance, exchanges, options, signal) => {
      await options.confirm();
      const error = new StatusError("CANCELLED", "by hand");
      await endOperation(world.ports, `operations/${options.operation}`, error, true);
      const still = new AbortController().signal;
      late = world.clock.sleep(3_000, still).then(() => exchange(instance, exchanges, options, still));
      throw new StatusError("FAILED_PRECONDITION", `stopped: ${signal.aborted}`);
    };
    const cancelled = await askKeys(world, "user:42:*", request);
    world.ports.valkey.exchange = exchange;
    expect((await undo(world, cancelled)).response).toMatchObject({ restored: 1, deleted: 1, changed: 0 });
    await late;
    expect(heldBy(world)).toEqual(before);
  });

  it("is refused for what is not there, was no restore of single keys, or was a dry run", async () => {
    const refused = async (name: string) => (await begun(world, "undo.v1.requested", { restore: name })).error?.message;
    expect(await refused("operations/restore-none")).toMatch(/there is no operations\/restore-none/);
    const [backup] = await operationsOf(world, "backup");
    expect(await refused(backup?.name ?? "")).toMatch(/only a restore of single keys/);
    expect(await refused((await askKeys(world, "user:42:*")).name)).toMatch(/it was a dry run/);
    expect(await refused("restore-none")).toMatch(/malformed operation name/);
  });

  it("is refused while the restore goes on", async () => {
    await change<Operation>(world, operation.name, { done: false });
    const data = { restore: operation.name, execute: true };
    await world.events.publish({ type: "undo.v1.requested", data, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    const [refused] = await operationsOf(world, "undo");
    expect(refused?.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/it still goes on; wait for it or cancel it/),
    });
  });

  it("is refused once a week is over, and a sweep of the vault takes its objects some days later, not before", async () => {
    const left = async () =>
      (await objectsOf(world, vault)).filter((name) => /^(undos|selections)\//.test(name)).length;
    const count = await left();
    expect(count).toBeGreaterThan(3);
    await world.clock.advance(8 * 86_400_000);
    const { error } = await undo(world, operation);
    expect(error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringMatching(/was possible until/) });
    await requested(world, "orphans.v1.requested", {});
    expect(await left()).toBe(count);
    await world.clock.advance(2 * 86_400_000);
    await requested(world, "orphans.v1.requested", {});
    expect(await left()).toBe(0);
    expect((await objectsOf(world, vault)).some((name) => name.endsWith("manifest.json"))).toBe(true);
  });

  it("that was asked for in time is done to its end, though the week is over before", async () => {
    const many = Array.from({ length: 250 }, (_, n) => ({ name: `many:${n}`, text: "old" }));
    world = await withLive(many, []);
    operation = await askKeys(world, "many:*", { maxKeysPerSecond: 1, execute: true });
    const until = Date.parse(operation.endTime ?? "") + 7 * 86_400_000;
    await world.clock.advance(until - 100_000 - world.clock.now());
    expect((await undo(world, operation, { maxKeysPerSecond: 1 })).response).toMatchObject({ deleted: 250 });
    expect(world.clock.now()).toBeGreaterThan(until);
    expect(heldBy(world)).toEqual({});
  });

  it.each([
    ["as it is done", true, {}],
    ["in a dry run", false, {}],
    ["though each message comes twice at once", true, { isTwice: true }],
    ["though each message comes once in vain", true, { isForgetful: true }],
  ])("goes on within a group that takes longer than a delivery, %s", async (_, execute, manner) => {
    const many = Array.from({ length: 700 }, (__, n) => ({ name: `many:${n}`, text: "old" }));
    world = await withLive(
      many,
      many.slice(0, 350).map(({ name }) => ({ name, text: "live" })),
    );
    const before = heldBy(world);
    const theirs = { name: "many:600", text: "newer" };
    writtenBetween(world, [theirs]);
    operation = await askKeys(world, "many:*", request);
    expect((await objectsOf(world, vault)).filter(isUndoList)).toHaveLength(1);
    const data = { restore: operation.name, maxKeysPerSecond: 1, execute };
    await world.events.publish({ type: "undo.v1.requested", data, attributes: {} });
    await world.settle(manner);
    const [undone] = await operationsOf(world, "undo");
    expect(undone?.error).toBeUndefined();
    expect(undone?.response).toMatchObject({ restored: 350, deleted: 349, already: 0, changed: 0 });
    if (execute) expect(heldBy(world)).toEqual({ ...before, ...spaceOf([theirs]) });
  });

  it.each([
    { what: "groups", restoring: 1, undoing: undefined, calls: 1 },
    { what: "pieces of a group", restoring: undefined, undoing: 1, calls: 30 },
  ])("that is forced and cut off leaves what was written since to the $what that it was through with", async (course) => {
    const { restoring, undoing, calls } = course;
    const many = Array.from({ length: 60 }, (_, n) => ({ name: `many:${String(n).padStart(2, "0")}`, text: "old" }));
    world = await withLive(
      many,
      many.map(({ name }) => ({ name, text: "live" })),
    );
    operation = await askKeys(world, "many:*", { ...request, maxKeysPerSecond: restoring });
    const { exchange } = world.ports.valkey;
    const keys: string[] = [];
    world.ports.valkey.exchange = async (instance, exchanges, ...rest) => {
      if (keys.length === calls) {
        world.ports.valkey.exchange = exchange;
        put(liveServer(world), [{ name: keys[0] ?? "", text: "newer" }]);
        throw new StatusError("UNAVAILABLE", "cut off");
      }
      keys.push(...exchanges.slice(0, 1).map(({ key }) => Buffer.from(key).toString()));
      return await exchange(instance, exchanges, ...rest);
    };
    const forced = { force: true, maxKeysPerSecond: undoing };
    expect((await undo(world, operation, forced)).response).toMatchObject({ restored: 60, already: 0 });
    expect(heldBy(world)[`0:${keys[0]}`]?.text).toBe("newer");
  });

  it.each<Partial<Instance>>([
    { endpoint: "127.0.0.1:7001" },
    { uid: "another" },
  ])("goes nowhere else than where the restore went: %j", async (fields) => {
    await change<Instance>(world, "instances/copy", fields);
    expect((await undo(world, operation)).error?.message).toMatch(/no longer what .* wrote into/);
  });
});
