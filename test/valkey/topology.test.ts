import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyRelease, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { startCluster } from "../fixture/cluster.ts";
import { until } from "../fixture/until.ts";
import { send } from "./client.ts";
import { calm, diskless, firstAttempt, instanceAt, sourceOf, valkey } from "./fixture.ts";

/** Of the slots of `{a}`, `{b}` …: 15495 and 3300 (CRC16 of the tag modulo 16384). */
const SECOND_SHARD_KEY = "{a}";
const FIRST_SHARD_KEY = "{b}";

describe.each(["8.0", "9.1"] as const)("a cluster of two shards, one of them with a replica (%s)", (version) => {
  let nodes: ValkeyServer[];
  let reason = "";
  const first = () => instanceAt(nodes[0]?.endpoint ?? "", { mode: "CLUSTER" });

  beforeAll(async () => {
    nodes = await startNodes(version).catch((error: Error) => {
      if (version === "8.0") throw error;
      reason = error.message;
      console.warn(`${version} is left out: ${reason}`);
      return [];
    });
  });
  afterAll(async () => {
    for (const node of nodes) await node.stop();
  });
  beforeEach(({ skip }) => skip(nodes.length === 0, reason));

  it("has two shards", async () => {
    expect(await valkey.shardCount(first(), calm())).toBe(2);
  });

  it("gives each shard's keys, by its first slot, whichever node is asked", async () => {
    const keys: number[] = [];
    const instance = instanceAt(nodes[1]?.endpoint ?? "", { mode: "CLUSTER" });
    for (const shard of [0, 1]) {
      const file = await collect(valkey.snapshot(instance, { shard }, calm()));
      keys.push((await check([file])).keys);
    }
    expect(keys).toEqual([1, 2]);
  });

  it("is read from the replica where there is one", async () => {
    const fullSyncs = async () =>
      Number(/sync_full:(\d+)/.exec(String(await send(nodes[2]?.endpoint ?? "", ["INFO", "stats"])))?.[1]);
    const before = await fullSyncs();
    await collect(valkey.snapshot(first(), { shard: 1 }, calm()));
    expect(await fullSyncs()).toBe(before + 1);
  });

  it("is inspected at each primary", async () => {
    const inspected = await valkey.inspect(first(), calm());
    expect(inspected.map(({ endpoint }) => endpoint)).toEqual(nodes.slice(0, 2).map(({ endpoint }) => endpoint));
    expect(inspected.map(({ info }) => info.role)).toEqual(["master", "master"]);
  });

  it("has no shard 2", async () => {
    await expect(collect(valkey.snapshot(first(), { shard: 2 }, calm()))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
  });

  it("is refused as an instance without cluster mode", async () => {
    await expect(valkey.shardCount(instanceAt(first().endpoint), calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/registered as CLUSTER_DISABLED, .*: --mode corrects that$/),
    });
  });

  it("is not read while slots move", async () => {
    const [one, two] = nodes as [ValkeyServer, ValkeyServer];
    const id = String(await send(two.endpoint, ["CLUSTER", "MYID"]));
    await send(one.endpoint, ["CLUSTER", "SETSLOT", "7", "MIGRATING", id]);
    const counting = valkey.shardCount(first(), calm());
    await expect(counting).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("slots are moving"),
    });
    expect(await valkey.inspect(first(), calm())).toHaveLength(2);
    await send(one.endpoint, ["CLUSTER", "SETSLOT", "7", "STABLE"]);
  });
});

describe("a server without cluster mode", () => {
  let server: ValkeyServer;
  beforeAll(async () => {
    server = await startValkey({ version: "8.0" });
  });
  afterAll(() => server?.stop());

  it("is one shard", async () => {
    expect(await valkey.shardCount(instanceAt(server.endpoint), calm())).toBe(1);
  });

  it("is refused as a cluster", async () => {
    await expect(valkey.shardCount(instanceAt(server.endpoint, { mode: "CLUSTER" }), calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/registered as CLUSTER, .*: --mode corrects that$/),
    });
  });
});

describe("a cluster of one node", () => {
  it("with all slots is one shard and takes a load; with a part of them it is UNAVAILABLE", async () => {
    const node = await startValkey({ version: "8.0", args: ["--cluster-enabled", "yes", ...diskless] });
    const instance = instanceAt(node.endpoint, { mode: "CLUSTER" });
    try {
      await send(node.endpoint, ["CLUSTER", "ADDSLOTSRANGE", 0, 16_000]);
      await expect(valkey.shardCount(instance, calm())).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining("16001 of 16384"),
      });
      await send(node.endpoint, ["CLUSTER", "ADDSLOTSRANGE", 16_001, 16_383]);
      const info = async () => String(await send(node.endpoint, ["CLUSTER", "INFO"]));
      await until(async () => (await info()).includes("cluster_state:ok"), "the cluster to be up", 60);
      await send(node.endpoint, ["SET", "a", "1"], ["SET", "b", "2"]);
      const file = await sourceOf(await collect(valkey.snapshot(instance, { shard: 0 }, calm())));
      await send(node.endpoint, ["FLUSHALL"]);
      const { databases } = await valkey.load(instance, file, firstAttempt, calm());
      expect(databases).toEqual({ 0: { keys: 2, expires: 0 } });
    } finally {
      await node.stop();
    }
  });
});

/** Two primaries, the second with a replica, and keys in both. */
async function startNodes(version: ValkeyRelease): Promise<ValkeyServer[]> {
  const cluster = await startCluster({ version, shards: 2, args: diskless });
  const [one = "", two = ""] = cluster.shards.map(({ primary }) => primary.endpoint);
  await cluster.addReplica(two);
  for (const node of [one, two]) {
    const online = async () => String(await send(node, ["CLUSTER", "SHARDS"])).match(/online/g)?.length;
    await until(async () => (await online()) === 3, `${node} to see three nodes`, 60);
  }
  await send(one, ["SET", FIRST_SHARD_KEY, "1"]);
  await send(two, ["SET", SECOND_SHARD_KEY, "1"], ["SET", `${SECOND_SHARD_KEY}2`, "1"], ["WAIT", 1, 0]);
  return cluster.nodes;
}
