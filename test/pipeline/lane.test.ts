import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { slotCount } from "../../shared/backup/slots.ts";
import { StatusError } from "../../shared/error.ts";
import type { ShardTask } from "../../shared/pipeline/ports.ts";
import { writeRdb } from "../../shared/rdb/writer.ts";
import { change } from "./change.ts";
import { objectsOf } from "./objects.ts";
import { fill, register } from "./registered.ts";
import { operationsOf } from "./requested.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

const nightly = backupName("orders", "nightly");
let world: World;

/** `orders` as a cluster of so many shards, each on a host of its own. */
async function cluster(shards: number, maxParallelShards: number): Promise<void> {
  world = createWorld();
  const server = world.valkey.start("127.0.0.1:7001", shards);
  fill(server, 4 * shards);
  const border = (shard: number) => Math.floor((shard * slotCount) / shards);
  server.layout = server.shards.map((_, n) => ({
    slots: `${border(n)}-${border(n + 1) - 1}`,
    node: `replica-${n}`,
    nodes: [`primary-${n}`, `replica-${n}`],
    host: `10.0.0.${n}`,
    zone: `zone-${n % 3}`,
  }));
  await register(world, { ...instanceOf("orders", "127.0.0.1:7001"), mode: "CLUSTER", maxParallelShards });
}

async function take(): Promise<Operation> {
  const data = { instance: "orders", backupId: "nightly" };
  await world.events.publish({ type: "backup.v1.requested", data, attributes: {} });
  await world.settle();
  const [operation] = await operationsOf(world, "backup");
  if (operation === undefined) throw new Error("nothing was begun");
  return operation;
}

const stored = async (): Promise<Backup | undefined> => (await world.ports.store.get<Backup>(nightly))?.data;

async function lanes(): Promise<unknown[]> {
  const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
  return tasks.flatMap(({ data }) =>
    data.type === "shard.v1.requested" ? [(data.data as { shards: number[] }).shards] : [],
  );
}

/** Something happens before each snapshot, or once its first chunk has come. Answers the tasks in their order. */
function meddle(act: {
  before?: (task: ShardTask, signal: AbortSignal) => Promise<void>;
  midway?: (task: ShardTask) => void;
}): ShardTask[] {
  const { snapshot } = world.valkey;
  const tasks: ShardTask[] = [];
  world.valkey.snapshot = async function* (instance, task, signal, onSource) {
    tasks.push(task);
    await act.before?.(task, signal);
    for await (const chunk of snapshot(instance, task, signal, onSource)) {
      yield chunk;
      act.midway?.(task);
    }
  };
  return tasks;
}

const broken = new StatusError("UNAVAILABLE", "the connection to the replica broke");

beforeEach(async () => await cluster(5, 2));

describe("a backup of several shards", () => {
  it("takes them in no more lanes than the instance allows, each in one delivery", async () => {
    await take();
    const backup = await stored();
    expect(backup).toMatchObject({ state: "ACTIVE", shardCount: 5 });
    expect(backup?.backupFiles.map(({ fileName }) => fileName)).toEqual([0, 1, 2, 3, 4].map((n) => `${n}.rdb`));
    expect((await lanes()).map((lane) => (lane as number[]).length)).toEqual([3, 2]);
  });

  it("asks for the rest of a lane once its delivery has no time for another shard", async () => {
    meddle({ before: () => world.clock.sleep(200_000) });
    expect((await take()).error).toBeUndefined();
    expect((await stored())?.state).toBe("ACTIVE");
    expect((await lanes()).map((lane) => (lane as number[]).length).sort()).toEqual([1, 1, 2, 2, 3]);
  });

  it("gives a shard that turns out too long for the rest of a delivery a whole one, and keeps what came before it", async () => {
    await cluster(2, 1);
    const tasks = meddle({
      before: ({ shard }, signal) => world.clock.sleep(shard === 0 ? 100_000 : 500_000, signal),
    });
    const operation = await take();
    expect([operation.error, operation.incidents]).toEqual([undefined, undefined]);
    expect((await stored())?.state).toBe("ACTIVE");
    expect(tasks.map(({ shard }) => shard)).toEqual([0, 1, 1]);
  });

  it("may take longer than six hours, one shard after the other, as long as each delivery brings one", async () => {
    await cluster(50, 1);
    meddle({
      async before(_, signal) {
        await world.clock.sleep(500_000, signal);
        await world.tick();
      },
    });
    const started = world.clock.monotonic();
    expect((await take()).error).toBeUndefined();
    expect(world.clock.monotonic() - started).toBeGreaterThan(6 * 3_600_000);
    expect((await stored())?.state).toBe("ACTIVE");
  });

  it("says what to do where a shard takes longer than a delivery", async () => {
    await cluster(1, 1);
    meddle({ before: (_task, signal) => world.clock.sleep(600_000, signal) });
    const { error } = await take();
    expect(error).toEqual({
      code: "DEADLINE_EXCEEDED",
      message: expect.stringMatching(
        /not done within 540 s: .*; a scan goes on where it was: valkeep instances update orders --snapshot-method=scan$/,
      ),
    });
  });

  it("keeps with each file when and of whom it was taken, and which slots it holds", async () => {
    await take();
    const [file] = (await stored())?.backupFiles ?? [];
    expect(file).toMatchObject({
      slots: "0-3275",
      sourceRole: "PRIMARY",
      replicationId: "run-1",
      replicationOffset: 0,
      snapshotStartTime: expect.stringMatching(/^2026-01-01T00/),
    });
    expect(file?.snapshotEndTime).toBe(file?.createTime);
  });

  it("says that its shards are not of one instant, and keeps nothing of its plan", async () => {
    await take();
    expect(await stored()).toMatchObject({ consistency: "PER_SHARD" });
    expect(await stored()).not.toHaveProperty("shards");
    const manifest = await world.ports.objects.stat(vault, `${nightly}/manifest.json`);
    if (manifest === undefined) throw new Error("there is no manifest");
    let text = "";
    for await (const chunk of world.ports.objects.read(manifest)) text += Buffer.from(chunk).toString();
    expect(JSON.parse(text)).toMatchObject({ consistency: "PER_SHARD", backupFiles: { length: 5 } });
  });
});

it("the instance is described once for a lane that is scanned, however many shards that has", async () => {
  await cluster(4, 1);
  await change<Instance>(world, "instances/orders", { snapshotMethod: "SCAN" });
  const { describe: ask } = world.valkey;
  let count = 0;
  world.valkey.describe = async (...args) => {
    count++;
    return await ask(...args);
  };
  expect((await take()).error).toBeUndefined();
  expect((await stored())?.backupFiles).toHaveLength(4);
  expect(count).toBe(2); // the plan's, and the lane's
});

describe("the instance of a cluster that was registered without its counts", () => {
  const counts = async () => {
    const doc = await world.ports.store.get<Instance>("instances/orders");
    return [doc?.data.shardCount, doc?.data.replicaCount, doc?.updateTime];
  };

  it("has those that its first backup found, and is not written by the next one", async () => {
    Object.assign(world.valkey.servers.get("127.0.0.1:7001") ?? {}, { answers: { mode: "CLUSTER", replicaCount: 2 } });
    expect((await counts()).slice(0, 2)).toEqual([1, 0]);
    expect((await take()).error).toBeUndefined();
    const [shardCount, replicaCount, updateTime] = await counts();
    expect([shardCount, replicaCount]).toEqual([5, 2]);
    await world.clock.advance(1_000);
    await world.events.publish({ type: "backup.v1.requested", data: { instance: "orders" }, attributes: {} });
    await world.settle();
    expect(await operationsOf(world, "backup")).toMatchObject([{ done: true }, { done: true }]);
    expect(await counts()).toEqual([5, 2, updateTime]);
  });

  it("keeps the replicas that it was registered with while some are away", async () => {
    await change<Instance>(world, "instances/orders", { replicaCount: 2 });
    await take();
    expect((await counts()).slice(0, 2)).toEqual([5, 2]);
  });
});

it("each shard is taken with all nodes of the plan in hand, lest another cluster answer for the instance by now", async () => {
  await cluster(2, 1);
  const tasks = meddle({});
  await take();
  const nodes = ["primary-0", "replica-0", "primary-1", "replica-1"];
  expect(tasks.map(({ node, cluster }) => [node, cluster])).toEqual([
    ["replica-0", nodes],
    ["replica-1", nodes],
  ]);
});

describe("a shard whose node breaks down while it is read", () => {
  it("is taken again from another node, the others keep their files, and the Operation tells of it", async () => {
    let isBroken = true;
    const tasks = meddle({
      midway({ shard }) {
        if (shard !== 4 || !isBroken) return;
        isBroken = false;
        throw broken;
      },
    });
    const operation = await take();
    expect(operation.error).toBeUndefined();
    const message = `shard 4, read from a PRIMARY: ${broken.message}`;
    expect(operation).toMatchObject({
      incidents: [{ code: "UNAVAILABLE", message }],
    });
    expect((await stored())?.state).toBe("ACTIVE");
    expect(tasks.map(({ shard }) => shard).sort()).toEqual([0, 1, 2, 3, 4, 4]);
    expect(tasks.at(-1)).toMatchObject({ shard: 4, avoid: ["replica-4"] });
  });

  it("knows whom to avoid at every later attempt, though nothing else was won", async () => {
    await cluster(1, 1);
    let left = 2;
    const tasks = meddle({
      midway() {
        if (left-- > 0) throw broken;
      },
    });
    const operation = await take();
    expect(operation.error).toBeUndefined();
    expect(operation).toMatchObject({ incidents: [{ message: expect.stringContaining(broken.message) }] });
    expect(tasks.map(({ avoid }) => avoid)).toEqual([[], ["replica-0"], ["replica-0"]]);
  });

  it("knows whom to avoid even where the attempt between has died without a word", async () => {
    await cluster(1, 1);
    const { snapshot } = world.valkey;
    let attempt = 0;
    let kept: string | undefined;
    world.valkey.snapshot = async function* (...args) {
      attempt++;
      for await (const chunk of snapshot(...args)) {
        yield chunk;
        if (attempt === 1) throw broken;
        await world.clock.sleep(25_000);
        const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
        kept ??= tasks.find(({ data }) => data.type === "shard.v1.requested")?.data.progress?.resume;
      }
    };
    expect((await take()).error).toBeUndefined();
    expect([attempt, kept]).toEqual([2, '["replica-0"]']);
  });

  it("is not blamed for a bucket that takes nothing", async () => {
    const { objects } = world.ports;
    const { create } = objects;
    let left = 1;
    objects.create = async (...args) => {
      if (left-- > 0) throw new StatusError("UNAVAILABLE", "the upload stalled");
      return await create(...args);
    };
    const tasks = meddle({});
    expect((await take()).error).toBeUndefined();
    expect(tasks).toHaveLength(6);
    expect(tasks.flatMap(({ avoid }) => avoid)).toEqual([]);
  });

  it("fails the backup once its attempts are spent, and leaves nothing of the other shards", async () => {
    meddle({
      midway({ shard }) {
        if (shard === 3) throw broken;
      },
    });
    expect((await take()).error).toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining("attempts") });
    await world.clock.advance(3_700_000);
    await world.settle();
    expect([await stored(), await objectsOf(world, vault)]).toEqual([undefined, []]);
  });
});

describe("an instance that is registered otherwise while its backup runs", () => {
  it.each([{ mode: "CLUSTER_DISABLED" as const }, { uid: "another" }])("ends it with a refusal: %j", async (change) => {
    await cluster(2, 1);
    const { store } = world.ports;
    meddle({
      async before({ shard }) {
        const found = await store.get<Instance>("instances/orders");
        if (shard !== 0 || found === undefined) return;
        const { path, updateTime } = found;
        await store.commit([{ kind: "put", path, data: { ...found.data, ...change }, updateTime }]);
        throw broken;
      },
    });
    expect((await take()).error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("registered anew"),
    });
    expect(await stored()).toBeUndefined();
  });
});

describe("slots that move while a backup runs", () => {
  it("end it with a refusal, and no half backup is left", async () => {
    const { layout } = world.valkey.servers.get("127.0.0.1:7001") ?? {};
    meddle({
      async before({ shard }) {
        const [from, to] = [layout?.[3], layout?.[4]];
        if (shard !== 2 || from === undefined || to === undefined) return;
        from.slots = "9830-13000";
        to.slots = "13001-16383";
      },
    });
    expect((await take()).error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("slots have moved"),
    });
    await world.clock.advance(3_700_000);
    await world.settle();
    expect([await stored(), await objectsOf(world, vault)]).toEqual([undefined, []]);
  });

  it("unseen by every shard are seen by the seal: files that do not cover all slots once are no backup", async () => {
    const { layout } = world.valkey.servers.get("127.0.0.1:7001") ?? {};
    if (layout?.[1] !== undefined) layout[1].slots = "3276-6551";
    expect((await take()).error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("its files do not make a whole cluster: slot 6552 is in none of them"),
    });
    expect(await objectsOf(world, vault)).not.toContain(`${nightly}/manifest.json`);
  });
});

it.each([
  [
    "keys of another one's slot", // slot 7, one key of it: rdb.c, RDB_OPCODE_SLOT_INFO
    writeRdb({ magic: "REDIS", rdbVersion: 11 }, [{ kind: "raw", bytes: Uint8Array.of(244, 7, 1, 0) }]),
    "shard 1 holds keys of slot 7, which it does not serve",
  ],
  [
    "a slot on its way into it", // job "j", one stretch, the slots 9000 to 9000: rdb.c, RDB_OPCODE_SLOT_IMPORT
    writeRdb({ magic: "VALKEY", rdbVersion: 80 }, [
      { kind: "raw", bytes: Uint8Array.of(243, 1, 0x6a, 1, 0x63, 0x28, 0x63, 0x28) },
    ]),
    `slots were moving into the shard of ${nightly}/1.rdb`,
  ],
])("a shard's file that holds %s is no part of a backup", async (_, file, reason) => {
  await cluster(2, 1);
  const { snapshot } = world.valkey;
  world.valkey.snapshot = async function* (instance, task, ...rest) {
    if (task.shard === 1) yield file;
    else yield* snapshot(instance, task, ...rest);
  };
  expect((await take()).error).toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining(reason),
  });
  expect(await stored()).toBeUndefined();
});

it("a backup of 250 shards, of 20 s each, needs fewer than 1,000 writes of Firestore", async () => {
  await cluster(250, 8);
  const { store } = world.ports;
  const { commit } = store;
  let writes = 0;
  store.commit = async (batch) => {
    // A guarded put is two: see shared/firestore/store.ts.
    for (const { kind } of batch) writes += kind === "put" ? 2 : kind === "create" ? 1 : 0;
    await commit(batch);
  };
  const { snapshot } = world.valkey;
  world.valkey.snapshot = async function* (...args) {
    let left = 4;
    for await (const chunk of snapshot(...args)) {
      yield chunk;
      if (left-- > 0) await world.clock.sleep(5_000);
    }
  };
  expect((await take()).error).toBeUndefined();
  expect((await stored())?.state).toBe("ACTIVE");
  expect(writes).toBeLessThan(1_000);
});
