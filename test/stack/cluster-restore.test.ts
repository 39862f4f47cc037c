import { afterAll, beforeAll, expect, it } from "vitest";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { type CommonFingerprint, commonFingerprint, fillOneDatabase } from "../fixture/dataset.ts";
import { command } from "./data.ts";
import { assertAtRest, openStage, type Stage } from "./stage.ts";

/** A backup of three shards, and every kind of target, through the functions: what comes out is what went in, key by key. */
let stage: Stage;
let source: Cluster;
let original: CommonFingerprint;

beforeAll(async () => {
  [stage, source] = await Promise.all([
    // With 64 MiB the files of this test would be one part each.
    openStage({ environment: { VALKEEP_BORDER_BYTES: "30000" } }),
    startCluster({ version: "8.0", shards: 3, replicas: 1 }),
  ]);
  await stage.register("orders", source.endpoint, { mode: "cluster" });
}, 180_000);

afterAll(async () => {
  await Promise.all([stage?.[Symbol.asyncDispose](), source?.[Symbol.asyncDispose]()]);
});

const primariesOf = ({ shards }: Cluster): string[] => shards.map(({ primary }) => primary.endpoint);

const backup = backupName("orders", "first");

it("restores a single server into a cluster, in parts", { timeout: 120_000 }, async () => {
  const single = await stage.valkey({ version: "8.0" });
  await fillOneDatabase(single.endpoint);
  original = await commonFingerprint([single.endpoint]);
  await stage.register("single", single.endpoint);
  await stage.done("backup.v1.requested", { instance: "single", backupId: "first" });
  const restored = await stage.done("restore.v1.requested", {
    instance: "orders",
    backup: backupName("single", "first"),
    allowShrink: true,
  });
  expect(restored.error).toBeUndefined();
  // Of 356 kB: a part has at most 36 kB and the record that it ends with, of which the three largest have 195 kB.
  expect(restored.plan?.parts.length).toBeGreaterThan(3);
  expect(restored.plan?.target.shards).toHaveLength(3);
  expect(await commonFingerprint(primariesOf(source))).toEqual(original);
  const taken = await stage.done("backup.v1.requested", { instance: "orders", backupId: "first" });
  expect(taken.error).toBeUndefined();
});

it.each([2, 3, 4])("restores the backup of three shards into a cluster of %i", { timeout: 120_000 }, async (shards) => {
  await using target = await startCluster({ version: "8.0", shards });
  await stage.register(`copy-${shards}`, target.endpoint, { mode: "cluster" });
  const refused = await restore(`copy-${shards}`, {});
  expect(refused.error?.message).toMatch(/the Backup has (shards: 3, the target has 2|replicas: 1, the target has 0)/);
  const restored = await restore(`copy-${shards}`, { allowShrink: true });
  expect(restored.error).toBeUndefined();
  expect(restored.response).toMatchObject({ keys: Object.keys(original.keys).length, functions: 2 });
  expect(await commonFingerprint(primariesOf(target))).toEqual(original);
});

it("lets one of two restores into a cluster that is registered by two of its nodes", { timeout: 120_000 }, async () => {
  await using target = await startCluster({ version: "8.0", shards: 3 });
  const ids = ["by-one", "by-another"];
  for (const [n, id] of ids.entries()) await stage.register(id, target.nodes[n]?.endpoint ?? "", { mode: "cluster" });
  const both = await Promise.all(ids.map((id) => restore(id, { allowShrink: true })));
  const refused = both.filter(({ error }) => error !== undefined);
  expect(refused.map(({ error }) => error?.code)).toEqual(["FAILED_PRECONDITION"]);
  // Whoever looked late may have found the keys of the other.
  expect(refused[0]?.error?.message).toMatch(/under another name|the target holds \d+ keys/);
  expect(await commonFingerprint(primariesOf(target))).toEqual(original);
  await assertAtRest(stage);
});

it("restores the backup of three shards into a single server", { timeout: 120_000 }, async () => {
  const target = await stage.valkey({ version: "8.0" });
  await stage.register("flat", target.endpoint);
  const restored = await restore("flat", { allowShrink: true });
  expect(restored.error).toBeUndefined();
  expect(await commonFingerprint([target.endpoint])).toEqual(original);
  await assertAtRest(stage);
});

it("refuses two of the three files, and several databases into a cluster", { timeout: 120_000 }, async () => {
  const target = await stage.valkey({ version: "8.0" });
  await stage.register("short", target.endpoint);
  const uris = [0, 2].map((shard) => `gs://${stage.ports.settings.vaultBucket}/${backup}/${shard}.rdb`);
  const short = await stage.done("restore.v1.requested", { instance: "short", gcsSourceUris: uris });
  expect(short.error).toMatchObject({ code: "FAILED_PRECONDITION" });
  expect(short.error?.message).toMatch(/slot 5461 is in none of them: name the file of each shard/);

  await command(target.endpoint, "SET", "a", "1");
  await command(target.endpoint, "MOVE", "a", "3");
  await stage.done("backup.v1.requested", { instance: "short", backupId: "first" });
  await using cluster = await startCluster({ version: "8.0", shards: 2 });
  await stage.register("pair", cluster.endpoint, { mode: "cluster" });
  const several = await stage.done("restore.v1.requested", { instance: "pair", backup: backupName("short", "first") });
  expect(several.error?.message).toMatch(/use databases 3; cluster mode has one database, 0/);
});

const restore = (instance: string, changes: { allowShrink?: boolean }): Promise<Operation> =>
  stage.done("restore.v1.requested", { instance, backup, ...changes });
