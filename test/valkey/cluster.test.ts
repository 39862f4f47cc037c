import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startValkey } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import type { ShardSource, ShardTask } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { entriesOf } from "../../shared/valkey/cluster/topology.ts";
import { clusterSources, type Sources, shardSnapshot } from "../../shared/valkey/snapshot/shard-snapshot.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { until } from "../fixture/until.ts";
import { send } from "./client.ts";
import { calm, instanceAt, valkey } from "./fixture.ts";

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
  const { slots, node } = shards[shard] ?? {};
  const cluster = shards.flatMap(({ nodes }) => nodes ?? []);
  return { shard, cluster, ...(slots !== undefined && { slots }), ...(node !== undefined && { node }) };
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
    const planOf = async (shard: number, slots: string) => ({
      slots,
      node: await idOf(replicaOf(shard)),
      nodes: expect.arrayContaining([await idOf(primaryOf(shard)), await idOf(replicaOf(shard))]),
      host: "127.0.0.1",
    });
    expect(shards).toMatchObject([
      await planOf(0, "0-5460"),
      await planOf(1, "5461-10921"),
      await planOf(2, "10922-16383"),
    ]);
    const others = cluster.nodes.slice(1).map(async ({ endpoint }) => ({ endpoint, node: await idOf(endpoint) }));
    expect(seeds).toHaveLength(others.length);
    expect(seeds).toEqual(expect.arrayContaining(await Promise.all(others)));
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
    const { shards, ids } = await valkey.describe(instance, calm());
    expect(told.shards).toEqual(shards);
    expect(told.ids.toSorted()).toEqual(ids.toSorted());
  });

  it("is known by its nodes, whatever slots they have, whichever of them is asked", async () => {
    const ids = (await Promise.all(cluster.nodes.map(({ endpoint }) => idOf(endpoint)))).sort();
    for (const endpoint of [primaryOf(0), replicaOf(0), primaryOf(2), replicaOf(1)])
      expect((await valkey.describe({ ...instance, endpoint }, calm())).ids).toEqual(ids);
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
    await until(async () => (await valkey.shardCount(instance, calm()).catch(() => 0)) === 3, "three shards");
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
    await until(async () => (await valkey.shardCount(instance, calm()).catch(() => 0)) === 3, "three shards");
  });

  it("says in the file that keys are left of a slot that is another shard's", async () => {
    const [stray, there] = [primaryOf(1), await idOf(primaryOf(0))];
    const asking = (...command: string[]) => send(stray, ["ASKING"], command);
    const opened = async (act: () => Promise<unknown>) => {
      await send(stray, ["CLUSTER", "SETSLOT", 3300, "IMPORTING", there]);
      await act();
      await send(stray, ["CLUSTER", "SETSLOT", 3300, "STABLE"]);
    };
    await opened(() => asking("SET", "{b}0", "older"));
    const file = await collect(valkey.snapshot(instance, await planned(1), calm()));
    expect((await check([file])).slots).toEqual([[3300, 3300]]);
    await opened(() => asking("DEL", "{b}0"));
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

describe("a stranger at an address of the cluster", () => {
  it("is neither read nor written in place of the cluster, whose other nodes answer", async () => {
    const dead = instanceAt("127.0.0.1:1", { mode: "CLUSTER" });
    await using other = await startCluster({ version: "8.0", shards: 1 });
    const server = await startValkey({ version: "8.0", args: ["--requirepass", "another"] });
    try {
      const node = await idOf(primaryOf(2));
      const strangers = [other.endpoint, server.endpoint].map((endpoint) => ({ endpoint, node }));
      const failure = { code: "UNAVAILABLE", message: expect.stringContaining("127.0.0.1:1") };
      await expect(valkey.plan({ ...dead, seeds: strangers }, calm())).rejects.toMatchObject(failure);
      await expect(valkey.describe({ ...dead, seeds: strangers }, calm())).rejects.toMatchObject(failure);
      const { shards } = await valkey.plan(
        { ...dead, seeds: [...strangers, { endpoint: primaryOf(2), node }] },
        calm(),
      );
      expect(shards).toHaveLength(3);
    } finally {
      await server.stop();
    }
  }, 30_000);

  it("is not read as the rest of a backup that was planned elsewhere, though its slots are the same", async () => {
    await using other = await startCluster({ version: "8.0", shards: 3 });
    const task = await planned(0);
    await expect(taken(task, instanceAt(other.endpoint, { mode: "CLUSTER" }))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("planned with other nodes"),
    });
  }, 30_000);
});

describe("a cluster that moves slots by itself (9.1)", () => {
  it("is refused where slots of the plan have arrived elsewhere", async () => {
    await using moving = await startCluster({ version: "9.1", shards: 2 });
    const [from, to] = moving.shards.map(({ primary }) => primary.endpoint);
    const at = instanceAt(moving.endpoint, { mode: "CLUSTER" });
    const task = await planned(0, at);
    const sources = await clusterSources(at, await entriesOf(at, async () => ""), task, calm());
    await send(from ?? "", ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 99, "NODE", await idOf(to ?? "")]);
    await until(
      async () => String(await send(to ?? "", ["CLUSTER", "NODES"])).includes(" 0-99 "),
      "the slots to arrive",
    );
    const file = collect(shardSnapshot(sources, calm(), {}));
    await expect(file).rejects.toMatchObject({
      message: expect.stringMatching(/slots (are moving|have moved)|changed hands/),
    });
    await until(async () => {
      const failure = await taken(task, at).catch((error) => error);
      expect(failure).toBeInstanceOf(Error);
      return failure.code === "FAILED_PRECONDITION";
    }, "the plan to be refused");
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
    }, "another node to give the shard");
    const { keys, source } = await taken(task, withSeeds);
    expect({ keys, source }).toMatchObject({
      keys: 100,
      source: { sourceRole: "PRIMARY", node: await idOf(replicaOf(0)) },
    });
    const ids = expect.arrayContaining([await idOf(replicaOf(0))]); // by which it was known before, too
    expect(await valkey.describe(withSeeds, calm())).toMatchObject({ mode: "CLUSTER", ids });
    await expect(valkey.plan({ ...withSeeds, source: "REPLICA_ONLY" }, calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("shard 0 of instances/orders has no replica"),
    });
  }, 60_000);

  it("is not inspected as if a shard without any primary were not there", async () => {
    const other = instanceAt(primaryOf(1), { mode: "CLUSTER" });
    expect(await valkey.inspect(other, calm())).toHaveLength(3);
    await cluster.shards[0]?.replicas[0]?.kill();
    await until(
      async () => /fail(,\w+)* .* 0-5460/.test(String(await send(primaryOf(1), ["CLUSTER", "NODES"]))),
      "the node to be known dead",
    );
    await expect(valkey.inspect(other, calm())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("the primary of slots 0-5460 is not online"),
    });
  }, 60_000);
});
