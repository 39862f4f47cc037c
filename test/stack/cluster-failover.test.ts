import { afterAll, beforeAll, expect, it } from "vitest";
import type { ValkeyServer } from "../../infra/local/valkey-server.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";
import { type Cluster, rolesIn, startCluster } from "../fixture/cluster.ts";
import { type CommonFingerprint, commonFingerprint, fillOneDatabase } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { send } from "../valkey/client.ts";
import { assertAtRest, openStage, type Stage } from "./stage.ts";

/**
 * Restores into a cluster of six nodes to which something happens meanwhile. Each ends with all that was backed up, key by
 * key, or with an error that says that it is not so.
 */
let stage: Stage;
let cluster: Cluster;
let original: CommonFingerprint;

const backup = backupName("source", "first");

/** A fifth of the keys stand in this one slot, which is of the second shard. */
const slot = slotOf(Buffer.from("tag"));

beforeAll(async () => {
  [stage, cluster] = await Promise.all([
    // With 64 MiB the file of this test would be one part.
    openStage({ isQuick: true, environment: { VALKEEP_BORDER_BYTES: "500000" } }),
    startCluster({ version: "9.1", shards: 3, replicas: 1 }),
  ]);
  const source = await stage.valkey({ version: "9.1" });
  await fillOneDatabase(source.endpoint);
  await send(
    source.endpoint,
    ["CONFIG", "SET", "rdbcompression", "no"],
    ["DEBUG", "POPULATE", 3_000, "key", 1_000],
    ["DEBUG", "POPULATE", 900, "{tag}", 1_000],
  );
  original = await commonFingerprint([source.endpoint]);
  await stage.register("source", source.endpoint);
  await stage.register("copy", cluster.endpoint, { mode: "cluster" });
  await stage.done("backup.v1.requested", { instance: "source", backupId: "first" });
}, 180_000);

afterAll(async () => {
  await Promise.all([stage?.[Symbol.asyncDispose](), cluster?.[Symbol.asyncDispose]()]);
});

const rolesOf = (shard: number) => rolesIn(cluster, shard);
const primaries = async () =>
  await Promise.all([0, 1, 2].map(async (shard) => (await rolesOf(shard)).primary.endpoint));
const ask = async (endpoint: string, ...words: string[]) => String(await send(endpoint, words));
const idOf = (endpoint: string) => ask(endpoint, "CLUSTER", "MYID");

/**
 * Begins to restore into the empty cluster, and answers while the first parts are half loaded: the first shard takes
 * nothing until they are let go on, the others have some of theirs.
 */
async function midway(): Promise<{ operation: string; goOn(): Promise<Operation> }> {
  const [first = "", second = "", third = ""] = await primaries();
  for (const endpoint of [first, second, third]) await send(endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"]);
  await send(first, ["CLIENT", "PAUSE", 60_000, "WRITE"]);
  const operation = await stage.ask("restore.v1.requested", { instance: "copy", backup });
  for (const endpoint of [second, third])
    await until(async () => (await ask(endpoint, "DBSIZE")) !== "0", `the first keys at ${endpoint}`);
  return {
    operation,
    async goOn() {
      await send(first, ["CLIENT", "UNPAUSE"]);
      return await stage.ended(operation);
    },
  };
}

async function failOver(to: ValkeyServer | undefined): Promise<void> {
  const endpoint = to?.endpoint ?? "";
  await send(endpoint, ["CLUSTER", "FAILOVER"]);
  await until(async () => (await ask(endpoint, "INFO", "replication")).includes("role:master"), `${endpoint} to lead`);
}

async function assertComplete({ error, plan }: Operation): Promise<void> {
  expect(error).toBeUndefined();
  expect(plan?.parts.length).toBeGreaterThan(5);
  expect(await commonFingerprint(await primaries())).toEqual(original);
}

const attemptsOf = async ({ name }: Operation) => Math.max(...(await stage.tasks(name)).map(({ attempt }) => attempt));

it("a primary that is failed over in the middle: complete", { timeout: 120_000 }, async () => {
  const { goOn } = await midway();
  await failOver((await rolesOf(0)).replicas[0]);
  const restored = await goOn();
  await assertComplete(restored);
  expect(await attemptsOf(restored)).toBeGreaterThan(1);
});

it("a primary that is replaced, the new one first, and removed: complete", { timeout: 120_000 }, async () => {
  const { primary: old, replicas } = await rolesOf(1);
  const heir = await cluster.addReplica(old.endpoint);
  const id = await idOf(old.endpoint);
  const { goOn } = await midway();
  await failOver(heir);
  const follows = async ({ endpoint }: ValkeyServer) =>
    (await ask(endpoint, "INFO", "replication")).includes(`master_port:${heir.port}\r`);
  for (const replica of replicas) await until(() => follows(replica), `${replica.endpoint} to follow the new primary`);
  await old.kill();
  for (const { endpoint, pid } of cluster.nodes)
    if (pid !== undefined) await until(() => forgotten(endpoint, id), `${endpoint} to forget the old one`);
  const restored = await goOn();
  await assertComplete(restored);
  expect(await attemptsOf(restored)).toBeGreaterThan(1);
});

/** A replica that has not heard yet of its new primary refuses to forget the old one. */
const forgotten = async (endpoint: string, id: string) =>
  await send(endpoint, ["CLUSTER", "FORGET", id]).then(
    () => true,
    () => false,
  );

it("a primary that dies, with it the registered endpoint, and an election: complete", {
  timeout: 120_000,
}, async () => {
  const { goOn } = await midway();
  const { primary, replicas } = await rolesOf(2);
  const [endpoint] = (await rolesOf(0)).replicas;
  expect(endpoint?.endpoint).toBe(cluster.endpoint);
  await Promise.all([primary.kill(), endpoint?.kill()]);
  const heir = async () => (await rolesOf(2).catch(() => undefined))?.primary.endpoint === replicas[0]?.endpoint;
  await until(heir, "the election");
  const restored = await goOn();
  await assertComplete(restored);
  expect(await attemptsOf(restored)).toBeGreaterThan(1);
});

it("a slot that moves, key by key: complete", { timeout: 120_000 }, async () => {
  const { operation, goOn } = await midway();
  const [, from = "", to = ""] = await primaries();
  await send(to, ["CLUSTER", "SETSLOT", slot, "IMPORTING", await idOf(from)]);
  await send(from, ["CLUSTER", "SETSLOT", slot, "MIGRATING", await idOf(to)]);
  expect(await moveKeys(from, to)).toBeGreaterThan(0);
  const ended = goOn();
  // What comes is sent on to the new node; what had come before goes there.
  const isSentOn = async () => /errorstat_ASK:count=\d{2}/.test(await ask(from, "INFO", "errorstats"));
  await until(isSentOn, "commands that are sent on");
  await moveKeys(from, to);
  const uncounted = (await stage.tasks(operation)).every(
    ({ type, done }) => type !== "verification.v1.requested" || !done,
  );
  expect(uncounted).toBe(true);
  for (const endpoint of [to, from, ...(await primaries())])
    await send(endpoint, ["CLUSTER", "SETSLOT", slot, "NODE", await idOf(to)]);
  await assertComplete(await ended);
});

it("slots that move at once (CLUSTER MIGRATESLOTS): complete", { timeout: 120_000 }, async () => {
  const { goOn } = await midway();
  const [, second = "", third = ""] = await primaries();
  await send(third, ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", await idOf(second)]);
  await send(second, ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 7_000, 8_000, "NODE", await idOf(third)]);
  const ended = goOn();
  const hasMoved = async () =>
    (await ask(second, "CLUSTER", "GETSLOTMIGRATIONS")).match(/state,success/g)?.length === 2;
  await until(hasMoved, "both moves");
  await assertComplete(await ended);
});

/** Moves every key of the slot that is there by now; answers how many. */
async function moveKeys(from: string, to: string): Promise<number> {
  const keys = (await send(from, ["CLUSTER", "GETKEYSINSLOT", slot, 10_000])) as Buffer[];
  const [host = "", port = ""] = to.split(":");
  if (keys.length > 0) await send(from, ["MIGRATE", host, port, "", 0, 5_000, "KEYS", ...keys]);
  return keys.length;
}

it("a primary that dies with writes that no replica had: says what is missing", { timeout: 120_000 }, async () => {
  const { operation, goOn } = await midway();
  const { primary, replicas } = await rolesOf(1);
  const heir = replicas[0]?.endpoint ?? "";
  await send(heir, ["CONFIG", "SET", "masterauth", "wrong"]);
  await send(primary.endpoint, ["CLIENT", "KILL", "TYPE", "replica"]);
  // Nobody counts while a slot is on its way.
  const [, , third = ""] = await primaries();
  const empty = emptySlot();
  await send(third, ["CLUSTER", "SETSLOT", empty, "MIGRATING", await idOf(primary.endpoint)]);
  const ended = goOn();
  const counting = async () => (await stage.tasks(operation)).find(({ type }) => type === "verification.v1.requested");
  const { error: moving } = await until(async () => {
    const task = await counting();
    return task?.error && task;
  }, "the count that has to wait");
  expect(moving).toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining("slots are moving") });
  await primary.kill();
  await send(heir, ["CLUSTER", "FAILOVER", "TAKEOVER"]);
  await send(third, ["CLUSTER", "SETSLOT", empty, "STABLE"]);
  const { error } = await ended;
  expect(error).toMatchObject({ code: "DATA_LOSS" });
  expect(error?.message).toMatch(/database 0 holds \d+ keys without expiry, \d+ were loaded/);
});

/** A slot of the third shard that no key belongs to. */
function emptySlot(): number {
  const used = new Set(Object.keys(original.keys).map((key) => slotOf(Buffer.from(key, "hex"))));
  let empty = cluster.shards[2]?.firstSlot ?? 0;
  while (used.has(empty)) empty++;
  return empty;
}

it("somebody who writes other keys meanwhile: says so, and takes nothing away", { timeout: 120_000 }, async () => {
  const { operation, goOn } = await midway();
  const [, , third = ""] = await primaries();
  let isOver = false;
  const writing = (async () => {
    for (let n = 0; !isOver; n++) await send(third, ["SET", `{foreign}:${n}`, "theirs"]);
  })();
  await until(async () => (await ask(third, "EXISTS", "{foreign}:9")) === "1", "ten foreign keys");
  const { error } = await goOn();
  isOver = true;
  await writing;
  expect(error).toMatchObject({ code: "DATA_LOSS", message: expect.stringContaining("someone else may write there") });
  expect((await stage.document<Operation>(operation))?.plan?.loadedCount).toBeGreaterThan(5);
  const { keys } = await commonFingerprint(await primaries());
  const isForeign = (key: string) => Buffer.from(key, "hex").toString().startsWith("{foreign}:");
  expect(Object.fromEntries(Object.entries(keys).filter(([key]) => !isForeign(key)))).toEqual(original.keys);

  const again = await stage.done("restore.v1.requested", { instance: "copy", backup });
  expect(again.error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringContaining("holds") });
  await assertAtRest(stage);
});
