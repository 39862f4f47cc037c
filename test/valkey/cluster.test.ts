import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import type { ShardSource, ShardTask } from "../../shared/pipeline/ports.ts";
import { check } from "../../shared/rdb/check.ts";
import { clusterSources, type Sources, shardSnapshot } from "../../shared/valkey/shard-snapshot.ts";
import { entriesOf } from "../../shared/valkey/topology.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { send } from "./client.ts";
import { calm, collect, instanceAt, valkey } from "./fixture.ts";

let cluster: Cluster;
let instance: Instance;
const replicaOf = (shard: number) => cluster.shards[shard]?.replicas[0]?.endpoint ?? "";
const primaryOf = (shard: number) => cluster.shards[shard]?.primary.endpoint ?? "";

beforeAll(async () => {
  cluster = await startCluster({ version: "8.0", shards: 3, replicas: 1 });
  instance = instanceAt(cluster.endpoint, { mode: "CLUSTER" });
  for (let n = 0; n < 100; n++) await send(primaryOf(0), ["SET", `{b}${n}`, "v"]); // slot 3300
}, 60_000);
afterAll(async () => await cluster?.[Symbol.asyncDispose]());

async function planned(shard: number, at = instance): Promise<ShardTask> {
  const { shards } = await valkey.plan(at, calm());
  return { ...shards[shard], shard };
}

async function taken(task: ShardTask, at = instance): Promise<{ keys: number; source: ShardSource | undefined }> {
  let source: ShardSource | undefined;
  const file = await collect(
    valkey.snapshot(at, task, calm(), (told) => {
      source = told;
    }),
  );
  return { keys: (await check([file])).keys, source };
}

const idOf = async (endpoint: string): Promise<string> => String(await send(endpoint, ["CLUSTER", "MYID"]));
const sourcesFor = async (task: ShardTask): Promise<Sources> =>
  await clusterSources(instance, await entriesOf(instance, async () => ""), task, calm());

/** What one shard's snapshot comes to if something happens after the look at its primary and before the file begins. */
async function overtaken(task: ShardTask, act: () => Promise<unknown>): Promise<Buffer> {
  const sources = await sourcesFor(task);
  await act();
  return await collect(shardSnapshot(sources, calm(), {}));
}

describe("a cluster with replicas", () => {
  it("is planned by its shards' slots, their replicas, and nodes that answer in place of the endpoint", async () => {
    const { shards, seeds } = await valkey.plan(instance, calm());
    expect(shards).toEqual([
      { slots: "0-5460", node: await idOf(replicaOf(0)), host: "127.0.0.1", zone: undefined },
      { slots: "5461-10921", node: await idOf(replicaOf(1)), host: "127.0.0.1", zone: undefined },
      { slots: "10922-16383", node: await idOf(replicaOf(2)), host: "127.0.0.1", zone: undefined },
    ]);
    expect(seeds.sort()).toEqual(
      cluster.nodes
        .slice(1)
        .map(({ endpoint }) => endpoint)
        .sort(),
    );
  });

  it("gives a shard's keys from the replica, and the place in its history that the file shows", async () => {
    const info = String(await send(primaryOf(0), ["INFO", "replication"]));
    const { keys, source } = await taken(await planned(0));
    expect({ keys, source }).toEqual({
      keys: 100,
      source: {
        node: await idOf(replicaOf(0)),
        sourceRole: "REPLICA",
        replicationId: /master_replid:(\w+)/.exec(info)?.[1],
        replicationOffset: expect.any(Number),
      },
    });
    const before = Number(/master_repl_offset:(\d+)/.exec(info)?.[1]);
    expect(source?.replicationOffset).toBeGreaterThanOrEqual(before);
  });

  it("gives it from the primary where source says so, or where the replica has failed", async () => {
    const { source } = await taken(await planned(0), { ...instance, source: "PRIMARY" });
    expect(source).toMatchObject({ sourceRole: "PRIMARY", node: await idOf(primaryOf(0)) });
    const again = await taken({ ...(await planned(0)), avoid: [await idOf(replicaOf(0))] });
    expect(again).toMatchObject({ keys: 100, source: { sourceRole: "PRIMARY" } });
  });

  it("is understood by CLUSTER SLOTS where SHARDS is not allowed", async () => {
    for (const { endpoint } of cluster.nodes)
      await send(endpoint, ["ACL", "SETUSER", "narrow", "on", ">x", "+@all", "-cluster|shards", "~*"]);
    const narrow = { ...instance, authUser: "narrow", authSecret: "secret:x" };
    const { shards } = await valkey.plan(narrow, calm());
    expect(shards.map(({ slots }) => slots)).toEqual(["0-5460", "5461-10921", "10922-16383"]);
    expect(await taken(await planned(0, narrow), narrow)).toMatchObject({ keys: 100 });
  });

  it("is described by CLUSTER SHARDS where SLOTS is not allowed", async () => {
    for (const { endpoint } of cluster.nodes)
      await send(endpoint, ["ACL", "SETUSER", "slotless", "on", ">x", "+@all", "-cluster|slots", "~*"]);
    const slotless = { ...instance, authUser: "slotless", authSecret: "secret:x" };
    const told = await valkey.describe(slotless, calm());
    expect(told.shards).toEqual((await valkey.describe(instance, calm())).shards);
  });

  it("is refused where its slots are not those of the plan", async () => {
    await expect(taken({ shard: 0, slots: "0-5459" })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("slots have moved"),
    });
  });

  it("is refused where a slot begins to move before the file begins", async () => {
    const target = await idOf(primaryOf(1));
    const file = overtaken(await planned(0), () => send(primaryOf(0), ["CLUSTER", "SETSLOT", 7, "MIGRATING", target]));
    await expect(file).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    await send(primaryOf(0), ["CLUSTER", "SETSLOT", 7, "STABLE"]);
  });

  it("is refused where a slot has come and gone before the file begins", async () => {
    const [here, there] = [await idOf(primaryOf(0)), await idOf(primaryOf(1))];
    const both = [primaryOf(0), primaryOf(1)];
    const file = overtaken(await planned(0), async () => {
      // Away, and back by an import, which raises the epoch.
      await send(primaryOf(1), ["CLUSTER", "SETSLOT", 7, "IMPORTING", here]);
      for (const node of both) await send(node, ["CLUSTER", "SETSLOT", 7, "NODE", there]);
      await send(primaryOf(0), ["CLUSTER", "SETSLOT", 7, "IMPORTING", there]);
      for (const node of both) await send(node, ["CLUSTER", "SETSLOT", 7, "NODE", here]);
    });
    await expect(file).rejects.toMatchObject({ message: expect.stringMatching(/changed hands|slots have moved/) });
    await until(async () => (await valkey.shardCount(instance, calm()).catch(() => 0)) === 3);
  });

  it("is refused where a slot was here for a while, though it is gone before the file begins", async () => {
    const [here, there] = [await idOf(primaryOf(1)), await idOf(primaryOf(0))];
    const both = [primaryOf(0), primaryOf(1)];
    // Who holds the highest epoch imports without a new one.
    await send(primaryOf(1), ["CLUSTER", "BUMPEPOCH"]);
    const file = overtaken(await planned(1), async () => {
      await send(primaryOf(1), ["CLUSTER", "SETSLOT", 7, "IMPORTING", there]);
      for (const node of both) await send(node, ["CLUSTER", "SETSLOT", 7, "NODE", here]);
      await send(primaryOf(0), ["CLUSTER", "SETSLOT", 7, "IMPORTING", here]);
      for (const node of both) await send(node, ["CLUSTER", "SETSLOT", 7, "NODE", there]);
    });
    await expect(file).rejects.toMatchObject({ message: expect.stringMatching(/changed hands|slots have moved/) });
    await until(async () => (await valkey.shardCount(instance, calm()).catch(() => 0)) === 3);
  });

  it("is not read from a replica that does not know what its primary knew, or tells another history", async () => {
    const sources = await sourcesFor(await planned(0));
    const [replica] = sources.nodes;
    if (replica === undefined) throw new Error("there is no source");
    const { replicationId, replicationOffset } = replica;
    for (const history of [
      { replicationId, replicationOffset: replicationOffset - 1000 },
      { replicationId: "another", replicationOffset: replicationOffset + 1000 },
    ])
      await expect(sources.confirm(replica, history)).rejects.toThrow("no longer in sync");
  });
});

describe("a cluster that moves slots by itself (9.1)", () => {
  it("is refused where slots of the plan have arrived elsewhere", async () => {
    await using moving = await startCluster({ version: "9.1", shards: 2 });
    const [from, to] = moving.shards.map(({ primary }) => primary.endpoint);
    const at = instanceAt(moving.endpoint, { mode: "CLUSTER" });
    const task = await planned(0, at);
    const sources = await clusterSources(at, await entriesOf(at, async () => ""), task, calm());
    await send(from ?? "", ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 99, "NODE", await idOf(to ?? "")]);
    await until(async () => String(await send(to ?? "", ["CLUSTER", "NODES"])).includes(" 0-99 "));
    const file = collect(shardSnapshot(sources, calm(), {}));
    await expect(file).rejects.toMatchObject({
      message: expect.stringMatching(/slots (are moving|have moved)|changed hands/),
    });
    await until(async () => {
      const failure = await taken(task, at).catch((error) => error);
      expect(failure).toBeInstanceOf(Error);
      return failure.code === "FAILED_PRECONDITION";
    });
  }, 60_000);
});

/** The last: it ends nodes. */
describe("a cluster whose endpoint has died", () => {
  it("fails over, is reached by its seeds, and gives the shard from whoever is fit", async () => {
    const { seeds } = await valkey.plan(instance, calm());
    const task = await planned(0);
    await cluster.shards[0]?.primary.kill();
    const withSeeds = { ...instance, seeds };
    await expect(valkey.plan(instance, calm())).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await until(async () => {
      const failure = await taken(task, withSeeds).catch((error) => error);
      if (failure instanceof Error) expect(failure).toMatchObject({ code: "UNAVAILABLE" });
      return !(failure instanceof Error);
    });
    const { keys, source } = await taken(task, withSeeds);
    expect({ keys, source }).toMatchObject({
      keys: 100,
      source: { sourceRole: "PRIMARY", node: await idOf(replicaOf(0)) },
    });
    expect(await valkey.describe(withSeeds, calm())).toMatchObject({ mode: "CLUSTER" });
    await expect(valkey.plan({ ...withSeeds, source: "REPLICA_ONLY" }, calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("shard 0 of instances/orders has no replica"),
    });
  }, 60_000);
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(100);
}
