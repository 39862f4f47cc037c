import { setTimeout as sleep } from "node:timers/promises";
import { Cluster as ClusterClient } from "iovalkey";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { gapIn } from "../../shared/backup/slots.ts";
import { records } from "../../shared/rdb/records.ts";
import { valkeep } from "../cli/terminal.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { until } from "../fixture/until.ts";
import { send } from "../valkey/client.ts";
import { assertAtRest, assertWhole, openStage, type Stage } from "./stage.ts";

/** Keys that exist all the time; others come, change and go. */
const lastingCount = 3_000;

let stage: Stage;
let cluster: Cluster;
let writer: { stop(): Promise<void> };

beforeAll(async () => {
  // A snapshot of a thousand keys takes about three seconds: time enough to meet it in its middle.
  const slow = ["--rdb-key-save-delay", "3000", "--rdbcompression", "no"];
  [stage, cluster] = await Promise.all([
    openStage(),
    startCluster({ version: "8.0", shards: 3, replicas: 1, args: slow }),
  ]);
  await stage.register("orders", cluster.endpoint, { mode: "cluster" });
  writer = await writing(cluster);
}, 120_000);

afterAll(async () => {
  await writer?.stop();
  await Promise.all([stage?.[Symbol.asyncDispose](), cluster?.[Symbol.asyncDispose]()]);
});

/**
 * Puts the lasting keys down, then writes others until it is stopped, several hundred a second: more would only take the
 * processors from everybody else. What a failing node refuses is let go.
 */
async function writing({ endpoint }: Cluster): Promise<{ stop(): Promise<void> }> {
  const [host = "", port] = endpoint.split(":");
  const client = new ClusterClient([{ host, port: Number(port) }], { redisOptions: { maxRetriesPerRequest: 1 } });
  client.on("error", () => undefined);
  for (let n = 0; n < lastingCount; n++) await client.set(`lasting:${n}`, "x".repeat(1_000));
  let isOver = false;
  const work = (async () => {
    for (let n = 0; !isOver; n++) {
      await client.set(`passing:${n % 500}`, "y".repeat(100)).catch(() => undefined);
      await client.del(`passing:${(n * 7) % 500}`).catch(() => undefined);
      if (n % 10 === 9) await sleep(10);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await work;
      client.disconnect();
    },
  };
}

/** Asks for a backup, acts once a shard's snapshot is under way at one of these nodes, and waits for the end. */
async function during(
  id: string,
  nodes: readonly (ValkeyServer | undefined)[],
  act: () => Promise<unknown>,
): Promise<Operation> {
  const name = await stage.ask("backup.v1.requested", { instance: "orders", backupId: id });
  const isRead = async (node: ValkeyServer | undefined) =>
    String(await send(node?.endpoint ?? "", ["INFO", "persistence"])).includes("rdb_bgsave_in_progress:1");
  await until(async () => (await Promise.all(nodes.map(isRead))).includes(true), "a snapshot under way");
  await sleep(1_000);
  await act();
  return await stage.ended(name);
}

/** Fails unless the backup is ACTIVE, and its files together hold every lasting key once, and every slot. */
async function assertComplete(id: string): Promise<Backup> {
  const backup = await stage.document<Backup>(backupName("orders", id));
  if (backup === undefined) throw new Error(`there is no backup ${id}`);
  await assertWhole(stage, backup);
  expect(gapIn(backup.backupFiles.map(({ slots = "" }) => slots))).toBeUndefined();
  const found = new Map<string, number>();
  for (const { fileName } of backup.backupFiles) {
    const stored = await stage.ports.objects.stat(backup.bucket, `${backup.name}/${fileName}`);
    if (stored === undefined) throw new Error(`${fileName} is missing`);
    for await (const batch of records(stage.ports.objects.read(stored)))
      for (const entry of batch) {
        const key = entry.kind === "record" ? Buffer.from(entry.key).toString() : "";
        if (key.startsWith("lasting:")) found.set(key, (found.get(key) ?? 0) + 1);
      }
  }
  expect([found.size, [...found.values()].every((times) => times === 1)]).toEqual([lastingCount, true]);
  return backup;
}

/** The node that serves a shard's slots now, and those that replicate it, by their endpoints. */
async function rolesOf(shard: number): Promise<{ primary: ValkeyServer | undefined; replicas: ValkeyServer[] }> {
  const of = cluster.shards[shard];
  const alive = cluster.nodes.filter(({ pid }) => pid !== undefined);
  const lines = String(await send(alive.at(-1)?.endpoint ?? "", ["CLUSTER", "NODES"])).split("\n");
  const line = lines.find((each) => each.includes(` ${of?.firstSlot}-`));
  const id = line?.split(" ")[0] ?? "";
  const at = (text: string | undefined) => alive.find(({ port }) => text?.includes(`:${port}@`));
  const replicas = lines.filter((each) => each.includes(`slave ${id}`)).flatMap((each) => at(each) ?? []);
  return { primary: at(line), replicas };
}

/** All of a shard: which of them is read the backup decides. */
async function nodesOf(shard: number): Promise<(ValkeyServer | undefined)[]> {
  const { primary, replicas } = await rolesOf(shard);
  return [primary, ...replicas];
}

it("can be checked: every shard's snapshot begins, and none goes on behind it", { timeout: 60_000 }, async () => {
  const { stdout } = await valkeep("instances check orders --json", { ports: stage.ports });
  expect(JSON.parse(stdout).find(({ name }: { name: string }) => name === "snapshot")).toEqual({
    name: "snapshot",
    state: "ok",
    message: "by replication: 3 of 3 shards give one; each was broken off at its first bytes",
  });
  const isQuiet = async ({ endpoint }: ValkeyServer) =>
    String(await send(endpoint, ["INFO", "persistence"])).includes("rdb_bgsave_in_progress:0");
  await until(async () => (await Promise.all(cluster.nodes.map(isQuiet))).every(Boolean), "the end of all forks", 20);
});

it("a backup under write load is complete, of the replicas, and says that its shards are not of one instant", async () => {
  const { error } = await stage.done("backup.v1.requested", { instance: "orders", backupId: "calm" });
  expect(error).toBeUndefined();
  const backup = await assertComplete("calm");
  expect(backup).toMatchObject({ consistency: "PER_SHARD", shardCount: 3 });
  expect(backup.backupFiles.map(({ sourceRole }) => sourceRole)).toEqual(["REPLICA", "REPLICA", "REPLICA"]);
}, 120_000);

it("a replica that is killed while it is read: the shard is taken again from another node", async () => {
  const [replica] = (await rolesOf(0)).replicas;
  const operation = await during("replica-killed", [replica], async () => await replica?.kill());
  expect(operation.error).toBeUndefined();
  expect(operation.incidents).toMatchObject([{ code: "UNAVAILABLE" }]);
  const backup = await assertComplete("replica-killed");
  expect(backup.backupFiles[0]).toMatchObject({ sourceRole: "PRIMARY" });
  await cluster.addReplica((await rolesOf(0)).primary?.endpoint ?? "");
}, 240_000);

it("a primary that is failed over while the backup runs: complete", async () => {
  const first = await nodesOf(0);
  const [heir] = (await rolesOf(1)).replicas;
  const { error } = await during("failed-over", first, () => send(heir?.endpoint ?? "", ["CLUSTER", "FAILOVER"]));
  expect(error).toBeUndefined();
  await assertComplete("failed-over");
}, 240_000);

it("a node that is replaced, the new one first, and removed while the backup wants it: complete", async () => {
  const first = await nodesOf(0);
  const { primary, replicas } = await rolesOf(2);
  const [old] = replicas;
  await cluster.addReplica(primary?.endpoint ?? "");
  const id = String(await send(old?.endpoint ?? "", ["CLUSTER", "MYID"]));
  const { error } = await during("replaced", first, async () => {
    await old?.kill();
    for (const { endpoint, pid } of cluster.nodes)
      if (pid !== undefined) await send(endpoint, ["CLUSTER", "FORGET", id]);
  });
  expect(error).toBeUndefined();
  await assertComplete("replaced");
}, 240_000);

it("the registered endpoint that dies, a primary: its replica takes over, and the backup is complete", async () => {
  const { primary, replicas } = await rolesOf(0);
  expect(primary?.endpoint).toBe(cluster.endpoint);
  const { error } = await during("endpoint-killed", [primary, ...replicas], async () => await primary?.kill());
  expect(error).toBeUndefined();
  await assertComplete("endpoint-killed");
}, 240_000);

it("slots that begin to move while the backup runs: a refusal, and nothing is left of it", async () => {
  const [first, from, to] = [await nodesOf(0), await rolesOf(1), await rolesOf(2)];
  const slot = cluster.shards[1]?.firstSlot ?? 0;
  const [here, there] = [from.primary?.endpoint ?? "", to.primary?.endpoint ?? ""];
  const [hereId, thereId] = [await send(here, ["CLUSTER", "MYID"]), await send(there, ["CLUSTER", "MYID"])].map(String);
  const { error } = await during("moving", first, async () => {
    await send(there, ["CLUSTER", "SETSLOT", slot, "IMPORTING", hereId ?? ""]);
    await send(here, ["CLUSTER", "SETSLOT", slot, "MIGRATING", thereId ?? ""]);
  });
  expect(error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringContaining("slots are moving") });
  for (const node of [here, there]) await send(node, ["CLUSTER", "SETSLOT", slot, "STABLE"]);
  await until(
    async () => (await stage.objects(stage.ports.settings.vaultBucket, backupName("orders", "moving"))).length === 0,
    "its clean-up",
  );
  expect(await stage.document(backupName("orders", "moving"))).toBeUndefined();
  await assertAtRest(stage);
}, 240_000);
