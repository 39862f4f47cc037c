import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import { checkNames } from "../../shared/backup/check.ts";
import type { EventMap } from "../../shared/backup/event.ts";
import { backupName, endpointName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { keyName, type MemoryServer } from "../../shared/memory/valkey.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { register } from "./registered.ts";
import { operationsOf } from "./requested.ts";
import { createWorld, inbox, instanceOf, type World } from "./world.ts";

type Request = EventMap["restore.v1.requested"];

let world: World;
let source: MemoryServer;
let target: MemoryServer;
const nightly = backupName("orders", "nightly");
const library = (name: string) => `#!lua name=${name}\nredis.register_function('f', function() return 1 end)`;

beforeEach(async () => {
  world = createWorld();
  source = world.valkey.start("127.0.0.1:7001");
  target = world.valkey.start("127.0.0.1:7002");
  for (let n = 0; n < 12; n++)
    source.shards[0]?.set(keyName(n % 3, `key-${n}`), { type: 0, expireTimeMs: -1, value: encodeString("v") });
  await register(world, instanceOf("orders", "127.0.0.1:7001"), instanceOf("copy", "127.0.0.1:7002"));
});

async function backUp(): Promise<void> {
  await world.events.publish({
    type: "backup.v1.requested",
    data: { instance: "orders", backupId: "nightly" },
    attributes: {},
  });
  await world.settle();
}

/** Publishes a request of a restore, lets the system come to rest, and answers its Operation. */
async function ask(data: Request): Promise<Operation> {
  const requestId = `request-${(await restores()).length}`;
  await world.events.publish({ type: "restore.v1.requested", data: { requestId, ...data }, attributes: {} });
  await world.settle();
  const operation = (await restores()).find((one) => one.requestId === (data.requestId ?? requestId));
  if (operation === undefined) throw new Error("no operation was begun");
  return operation;
}

const restores = () => operationsOf(world, "restore");

const resultsOf = ({ checks = [] }: Operation) => Object.fromEntries(checks.map(({ name, result }) => [name, result]));

/** Everything but the Operations themselves: documents, and what the target holds. */
function rest() {
  const documents = Object.entries(world.ports.store.all()).filter(([path]) => !/^(operations|outbox)\//.test(path));
  return { documents, keys: target.shards[0]?.size, functions: target.functions.size };
}

describe("a dry run of a restore", () => {
  beforeEach(backUp);

  it("tells every check and touches nothing", async () => {
    const before = rest();
    const operation = await ask({ instance: "copy", backup: nightly, dryRun: true });
    expect(operation).toMatchObject({ done: true, response: { instance: "instances/copy" }, holds: [] });
    expect(operation.error).toBeUndefined();
    expect(operation.plan).toBeUndefined();
    expect(operation.checks?.map(({ name }) => name)).toEqual(checkNames);
    expect(rest()).toEqual(before);
  });

  it("of a file in a bucket tells its checks too", async () => {
    const uri = `gs://${world.ports.settings.vaultBucket}/${nightly}/0.rdb`;
    const { error, checks } = await ask({ instance: "copy", gcsSourceUris: [uri], dryRun: true });
    expect({ error, count: checks?.length }).toEqual({ error: undefined, count: checkNames.length });
  });

  it("is refused where the restore would be, with the same checks and the same words", async () => {
    target.shards[0]?.set("0:00", { type: 0, expireTimeMs: -1, value: encodeString("x") });
    const before = rest();
    const dry = await ask({ instance: "copy", backup: nightly, dryRun: true });
    const real = await ask({ instance: "copy", backup: nightly });
    expect(dry.error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringMatching(/holds 1 keys/) });
    expect({ error: dry.error, checks: dry.checks }).toEqual({ error: real.error, checks: real.checks });
    expect(resultsOf(dry)).toMatchObject({ empty: "FAIL", version: "PASS" });
    expect(rest()).toEqual(before);
    expect(world.events.messages.filter(({ type }) => type === "operation.v1.failed")).toEqual([]);
    expect(world.lines.filter(({ message }) => message === "examined")).toMatchObject([
      { fields: { instance: "instances/copy", failed: ["empty"] } },
      { fields: { instance: "instances/copy", failed: ["empty"] } },
    ]);
  });

  it("is not taken for the restore that bears the same requestId", async () => {
    await ask({ instance: "copy", backup: nightly, dryRun: true, requestId: "same" });
    await ask({ instance: "copy", backup: nightly, requestId: "same" });
    expect(target.shards[0]?.size).toBe(12);
  });

  it("that is published twice is one", async () => {
    await ask({ instance: "copy", backup: nightly, dryRun: true, requestId: "one" });
    await ask({ instance: "copy", backup: nightly, dryRun: true, requestId: "one" });
    expect(await restores()).toHaveLength(1);
  });

  it.each([
    ["an instance that nobody registered", { instance: "nobody", backup: nightly }, "NOT_FOUND"],
    ["a backup that is not there", { instance: "copy", backup: backupName("orders", "none") }, "NOT_FOUND"],
    ["a file that is not there", { instance: "copy", gcsSourceUris: [`gs://${inbox}/none.rdb`] }, "NOT_FOUND"],
  ])("of %s is refused", async (_name, data, code) => {
    expect((await ask({ ...data, dryRun: true })).error?.code).toBe(code);
  });

  it("of something that is no yes or no is malformed", async () => {
    const data = { instance: "copy", backup: nightly, dryRun: "yes" } as unknown as Request;
    await world.events.publish({ type: "restore.v1.requested", data, attributes: {} });
    await world.settle();
    expect((await restores()).map(({ error }) => error?.message)).toEqual([expect.stringMatching(/dryRun: .*boolean/)]);
  });

  it("keeps its backup from being erased while it reads it, and no longer; the target it never takes", async () => {
    let during: string[] | undefined;
    let taken: unknown[] | undefined;
    const { describe: describeServer } = world.valkey;
    world.ports.valkey.describe = async (...args) => {
      during ??= (await world.ports.store.get<Backup>(nightly))?.data.pins;
      taken ??= [
        (await world.ports.store.get<Instance>("instances/copy"))?.data.restoring,
        await world.ports.store.get(endpointName("127.0.0.1:7002")),
      ];
      return await describeServer(...args);
    };
    const { name } = await ask({ instance: "copy", backup: nightly, dryRun: true });
    expect(during).toEqual([name]);
    expect(taken).toEqual([undefined, undefined]);
    expect((await world.ports.store.get<Backup>(nightly))?.data.pins).toEqual([]);
  });
});

describe("a restore", () => {
  it("keeps what was only to be warned of on its operation", async () => {
    await backUp();
    target.answers = { maxMemoryBytes: 10_000_000, maxMemoryPolicy: "allkeys-lru" };
    const operation = await ask({ instance: "copy", backup: nightly });
    expect([operation.error, resultsOf(operation).eviction]).toEqual([undefined, "WARN"]);
  });

  it("into a smaller target is refused, unless it may shrink", async () => {
    source.answers = { replicaCount: 1 };
    await backUp();
    const refused = await ask({ instance: "copy", backup: nightly });
    expect(refused.error?.message).toMatch(/the Backup has replicas: 1, the target has 0; --allow-shrink permits that/);
    expect(target.shards[0]?.size).toBe(0);
    const { error } = await ask({ instance: "copy", backup: nightly, allowShrink: true });
    expect([error, target.shards[0]?.size]).toEqual([undefined, 12]);
  });

  it("of a library that the target has already is refused before anything is written", async () => {
    source.functions.add(library("mine"));
    await backUp();
    target.functions.add(library("mine"));
    const { error } = await ask({ instance: "copy", backup: nightly });
    expect(error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/1 of them by the same/),
    });
    expect([target.shards[0]?.size, target.functions.size]).toEqual([0, 1]);
  });

  it("reads no more of a file than its libraries to compare their names", async () => {
    source.functions.add(library("mine"));
    for (let n = 0; n < 500; n++)
      source.shards[0]?.set(keyName(0, `more-${n}`), { type: 0, expireTimeMs: -1, value: encodeString("v") });
    await backUp();
    target.functions.add(library("other"));
    let readBytes = 0;
    const { objects } = world.ports;
    const read = objects.read.bind(objects);
    objects.read = async function* (of, range, signal) {
      for await (const chunk of read(of, range, signal)) {
        if (of.object.endsWith(".rdb")) readBytes += chunk.length;
        yield chunk;
      }
    };
    const { error } = await ask({ instance: "copy", backup: nightly, dryRun: true });
    expect(error).toBeUndefined();
    expect(readBytes).toBeGreaterThan(0);
    expect(readBytes).toBeLessThan(500);
  });

  it("goes well beside libraries by other names, and fails when one appears or goes meanwhile", async () => {
    source.functions.add(library("mine"));
    await backUp();
    target.functions.add(library("other"));
    const operation = await ask({ instance: "copy", backup: nightly });
    expect([operation.error, resultsOf(operation).functions]).toEqual([undefined, "WARN"]);
    expect(operation.plan?.target.functionCount).toBe(1);
    target.shards[0]?.clear();
    target.functions.clear();
    const { load } = world.valkey;
    world.ports.valkey.load = async (...args) => {
      target.functions.add(library("intruder"));
      return await load(...args);
    };
    const { error } = await ask({ instance: "copy", backup: nightly });
    expect(error).toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringMatching(/2 function libraries are there, 1 were/),
    });
  });
});

describe("two instances with one endpoint", () => {
  beforeEach(async () => {
    await backUp();
    await register(world, instanceOf("twin", "127.0.0.1:7002"));
  });

  /** Delivers the first messages of these restores, one after the other, and lets nothing go on. */
  async function admit(...requests: Request[]): Promise<Operation[]> {
    for (const data of requests) await world.events.publish({ type: "restore.v1.requested", data, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    return await restores();
  }

  it("are not restored into at once", async () => {
    const operations = await admit(
      { instance: "copy", backup: nightly, requestId: "1" },
      { instance: "twin", backup: nightly, requestId: "2" },
    );
    const [first, second] = ["1", "2"].map((id) => operations.find(({ requestId }) => requestId === id));
    expect(first?.done).toBe(false);
    expect(second?.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: `instances/twin at 127.0.0.1:7002 is being restored by ${first?.name}: one restore at a time; wait for it or cancel it`,
    });
    await world.settle();
    expect((await restores()).find(({ requestId }) => requestId === "1")?.error).toBeUndefined();
    expect(target.shards[0]?.size).toBe(12);
  });

  it("are not restored into at once when both are admitted at the same moment", async () => {
    for (const instance of ["copy", "twin"])
      await world.events.publish({ type: "restore.v1.requested", data: { instance, backup: nightly }, attributes: {} });
    await Promise.all(world.events.take().map((message) => world.deliver(message)));
    await world.settle();
    const errors = (await restores()).map(({ error }) => error?.message);
    expect(errors.filter((message) => message === undefined)).toHaveLength(1);
    expect(errors.find((message) => message !== undefined)).toMatch(/at 127.0.0.1:7002 is being restored by/);
  });

  it("are restored into one after the other, and the endpoint is nobody's afterwards", async () => {
    expect((await ask({ instance: "copy", backup: nightly })).error).toBeUndefined();
    target.shards[0]?.clear();
    expect((await ask({ instance: "twin", backup: nightly })).error).toBeUndefined();
    expect(await world.ports.store.get(endpointName("127.0.0.1:7002"))).toBeUndefined();
  });

  it("are free again once the restore of one is cancelled", async () => {
    const [first] = await admit({ instance: "copy", backup: nightly, requestId: "1" });
    await endOperation(world.ports, first?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    expect((await ask({ instance: "twin", backup: nightly })).error).toBeUndefined();
  });

  it("are free again once the operation that took the endpoint is gone or over", async () => {
    const path = endpointName("127.0.0.1:7002");
    const data = { name: path, restoring: "operations/restore-gone" };
    await world.ports.store.commit([{ kind: "create", path, data }]);
    expect((await ask({ instance: "twin", backup: nightly })).error).toBeUndefined();
  });

  it("are not restored into while one is being backed up", async () => {
    await world.events.publish({ type: "backup.v1.requested", data: { instance: "copy" }, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    world.events.take(); // its shard waits
    const [operation] = await admit({ instance: "twin", backup: nightly, requestId: "1" });
    expect(operation?.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/^instances\/copy is being backed up by operations\/backup-/),
    });
  });

  it("are not backed up, nor tried in a dry run, while one is restored into", async () => {
    await admit({ instance: "copy", backup: nightly, requestId: "1" });
    await world.events.publish({ type: "backup.v1.requested", data: { instance: "twin" }, attributes: {} });
    for (const message of world.events.take().filter(({ type }) => type === "backup.v1.requested"))
      await world.deliver(message);
    const [backup] = await world.ports.store.query<Operation>({
      collection: "operations",
      where: [["target", "==", "instances/twin"]],
    });
    expect(backup?.data.error?.message).toMatch(/instances\/twin is being restored by/);
    const [dry] = (await admit({ instance: "twin", backup: nightly, dryRun: true, requestId: "2" })).filter(
      ({ requestId }) => requestId === "2",
    );
    expect(dry?.error?.message).toMatch(/is being restored by/);
  });
});
