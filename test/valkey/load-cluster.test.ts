import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { LoadSource } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { type CommonFingerprint, commonFingerprint, fillOneDatabase } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { emptied, heldUp, loadInto, primariesOf, randomKeys } from "./cluster-load.ts";
import { calm, diskless, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";

let cluster: Cluster;
let single: ValkeyServer;
/** Every type, and what a single server holds of it. */
let file: LoadSource;
let original: CommonFingerprint;

beforeAll(async () => {
  const source = await startValkey({ version: "8.0", args: diskless });
  try {
    await fillOneDatabase(source.endpoint);
    file = await sourceOf(await snapshotOf(source.endpoint));
    original = await commonFingerprint([source.endpoint]);
    single = await startValkey({ version: "8.0" });
    cluster = await startCluster({ version: "8.0", shards: 3, args: diskless });
  } finally {
    await source.stop();
  }
});
afterAll(async () => {
  await single?.stop();
  await cluster?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await emptied(cluster);
  await send(single.endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"]);
});

describe("a load into a cluster", () => {
  it("brings every key to its shard, and the functions to each, counted once", async () => {
    const result = await loadInto(cluster, file);
    expect(await commonFingerprint(primariesOf(cluster))).toEqual(original);
    const counts = { keys: 649, expires: 206 };
    expect(result).toEqual({ databases: { 0: counts }, expiredKeys: 0, soonExpiredKeys: 0, functions: 2 });
  });

  it.each([2, 4])("of three shards goes into one of %i shards, and into a single server", async (shards) => {
    await loadInto(cluster, file);
    await using other = await startCluster({ version: "8.0", shards });
    for (const shard of [0, 1, 2]) {
      const part = await sourceOf(await collect(valkey.snapshot(ofCluster(cluster), { shard }, calm())));
      const options = { ...firstAttempt, part: shard, withFunctions: shard === 0 };
      await valkey.load(ofCluster(other), part, options, calm());
      await valkey.load(instanceAt(single.endpoint), part, options, calm());
    }
    expect(await commonFingerprint(primariesOf(other))).toEqual(original);
    expect(await commonFingerprint([single.endpoint])).toEqual(original);
  });

  it("begins at any node, a replica too", async () => {
    const replica = await cluster.addReplica(primariesOf(cluster)[1] ?? "");
    const knows = async () => /slots_ok:16384/.test(String(await send(replica.endpoint, ["CLUSTER", "INFO"])));
    while (!(await knows())) await sleep(50);
    await valkey.load(instanceAt(replica.endpoint, { mode: "CLUSTER" }), file, firstAttempt, calm());
    expect(await commonFingerprint(primariesOf(cluster))).toEqual(original);
  });

  it("is refused where the file fills several databases, before anything is written", async () => {
    const { databases } = file.facts;
    const facts = { ...file.facts, databases: { ...databases, 3: { keys: 1, expires: 0, types: {} } } };
    await expect(loadInto(cluster, { ...file, facts })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("one database"),
    });
  });

  it("is refused where the server runs without cluster mode", async () => {
    const instance = instanceAt(single.endpoint, { mode: "CLUSTER" });
    await expect(valkey.load(instance, file, firstAttempt, calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("without cluster mode"),
    });
  });

  it("needs no more of an ACL than the error tells to grant", async () => {
    const grants =
      "+ping +info +function|stats +restore +select +function|load +client|setname +client|list +client|kill ~* " +
      "+cluster|shards +cluster|slots +asking";
    for (const endpoint of primariesOf(cluster))
      await send(endpoint, ["ACL", "SETUSER", "exact", "on", ">x", "-@all", ...grants.split(" ")]);
    const instance = instanceAt(cluster.endpoint, { mode: "CLUSTER", authUser: "exact", authSecret: "secret:x" });
    expect((await valkey.load(instance, file, firstAttempt, calm())).databases[0]?.keys).toBe(649);
  });

  it("refuses a key that is there already at any node, without naming it", async () => {
    const owner = primariesOf(cluster)[2] ?? "";
    const key = Object.keys(original.keys).map((hex) => Buffer.from(hex, "hex"));
    for (const one of key) if (await send(owner, ["SET", one, "somebody's"]).catch(() => undefined)) break;
    await expect(loadInto(cluster, file)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("has a key already: someone else writes there"),
    });
  });

  it("kills the attempt before it at every node, and lets other parts of the operation be", async () => {
    const many = await randomKeys(20_000, 1_000);
    const { source, began, goOn } = heldUp(many);
    const zombie = expect(loadInto(cluster, source, { epoch: 3, replace: true })).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
    const other = heldUp(many);
    const neighbour = loadInto(cluster, other.source, { part: 1, epoch: 1, replace: true });
    await Promise.all([began, other.began]);
    await loadInto(cluster, many, { epoch: 4, replace: true });
    goOn();
    other.goOn();
    await zombie;
    expect((await neighbour).databases).toEqual({ 0: { keys: 20_000, expires: 6_667 } });
  });

  it("asks for its lease once, when it has its name at every node and has written nothing", async () => {
    const seen: unknown[] = [];
    const confirm = async () => {
      for (const endpoint of primariesOf(cluster)) {
        const clients = String(await send(endpoint, ["CLIENT", "LIST"]));
        seen.push([clients.match(/(?<=name=)valkeep-\S*/g), await send(endpoint, ["DBSIZE"])]);
      }
    };
    await loadInto(cluster, file, { confirm, epoch: 2 });
    const atEach = [["valkeep-restore-7-0-2"], 0];
    expect(seen).toEqual([atEach, atEach, atEach]);
  });

  it("feeds the other nodes while one of them takes nothing", async () => {
    const many = await randomKeys(15_000, 1_000);
    const [one = "", two = "", slow = ""] = primariesOf(cluster);
    await send(slow, ["CLIENT", "PAUSE", 60_000, "WRITE"]);
    const loading = loadInto(cluster, many);
    const sizeOf = async (endpoint: string) => Number(await send(endpoint, ["DBSIZE"]));
    // What each of the others will hold is known once all is there.
    const reached: number[] = [];
    for (const end = performance.now() + 3_000; performance.now() < end; await sleep(50))
      reached.splice(0, 2, await sizeOf(one), await sizeOf(two));
    expect(await sizeOf(slow)).toBe(0);
    await send(slow, ["CLIENT", "UNPAUSE"]);
    await loading;
    expect(reached).toEqual([await sizeOf(one), await sizeOf(two)]);
  });
});

describe("a cluster as one server", () => {
  it("holds the keys of all shards, the functions of each, and tells of every shard", async () => {
    await loadInto(cluster, file);
    const server = await valkey.describe(ofCluster(cluster), calm());
    expect(server).toMatchObject({
      mode: "CLUSTER",
      role: "PRIMARY",
      databases: { 0: { keys: 649, expires: 206 } },
      functionCount: 2,
    });
    expect(server.functionLibraries?.toSorted()).toEqual(["long", "tiny"]);
    const endpoints = server.shards?.map(({ endpoint }) => endpoint);
    expect(endpoints).toEqual(primariesOf(cluster));
    expect(server.shards?.reduce((sum, { databases }) => sum + (databases[0]?.keys ?? 0), 0)).toBe(649);
  });

  it("has the memory of all nodes and the limits of the strictest", async () => {
    const [one = "", two = "", three = ""] = primariesOf(cluster);
    const set = async (endpoint: string, memory: number, bulk: number) =>
      await send(endpoint, ["CONFIG", "SET", "maxmemory", memory, "proto-max-bulk-len", bulk]);
    await Promise.all([set(one, 1e9, 5e6), set(two, 2e9, 4e6), set(three, 3e9, 6e6)]);
    const all = await valkey.describe(ofCluster(cluster), calm());
    expect(all).toMatchObject({ maxMemoryBytes: 6e9, maxBulkBytes: 4e6 });
    // The first node is full once it has its third of the keys.
    expect(Math.abs((all.evenRoomBytes ?? 0) - 3e9)).toBeLessThan(5e7);
    await set(two, 0, 4e6);
    expect((await valkey.describe(ofCluster(cluster), calm())).maxMemoryBytes).toBe(0);
    for (const endpoint of [one, two, three]) await set(endpoint, 0, 512 * 1024 * 1024);
  });
});

const ofCluster = (one: Cluster) => instanceAt(one.endpoint, { mode: "CLUSTER" });
