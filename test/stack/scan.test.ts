import { Cluster as ClusterClient } from "iovalkey";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import { backupName, segmentFolder } from "../../shared/backup/name.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { send } from "../valkey/client.ts";
import { managedUser } from "../valkey/scanned.ts";
import { assertAtRest, openStage, type Stage } from "./stage.ts";

/** Servers that refuse the replication protocol, as managed services do, on the whole stack. */
let stage: Stage;
let source: ValkeyServer;

beforeAll(async () => {
  stage = await openStage({ isQuick: true, environment: { VALKEEP_SCAN_SECONDS: "4" } });
  source = await stage.valkey({ version: "8.0" });
  await fillEverything(source.endpoint);
  await send(source.endpoint, managedUser);
});

afterAll(async () => await stage?.[Symbol.asyncDispose]());

/** Registers a server as its application knows it. */
async function register(id: string, endpoint: string, flags = {}): Promise<Instance> {
  const authSecret = await stage.secret(`${id}-password`, "x");
  return await stage.register(id, endpoint, { authUser: "app", authSecret, ...flags });
}

async function taken(id: string, backupId: string): Promise<Backup> {
  const { error } = await stage.done("backup.v1.requested", { instance: id, backupId });
  expect(error).toBeUndefined();
  const backup = await stage.document<Backup>(backupName(id, backupId));
  if (backup === undefined) throw new Error(`there is no ${backupId}`);
  return backup;
}

/** Puts keys down all over a cluster. */
async function fill({ endpoint }: Cluster): Promise<void> {
  const [host = "", port] = endpoint.split(":");
  const client = new ClusterClient([{ host, port: Number(port) }]);
  await Promise.all(Array.from({ length: 9_000 }, (_, n) => client.set(`key:${n}`, `value ${n}`)));
  client.disconnect();
}

it("backs such a server up by itself, and restores it as it was", async () => {
  await register("orders", source.endpoint);
  const backup = await taken("orders", "whole");
  expect(backup).toMatchObject({ state: "ACTIVE", consistency: "FUZZY", verification: "CHECKED" });
  expect(await stage.objects(backup.bucket, `${backup.name}/`)).not.toContainEqual(expect.stringContaining("segments"));
  const target = await stage.valkey({ version: "8.0" });
  await stage.register("copy", target.endpoint);
  const { error } = await stage.done("restore.v1.requested", { instance: "copy", backup: backup.name });
  expect(error).toBeUndefined();
  expect(await fingerprint(target.endpoint)).toEqual(await fingerprint(source.endpoint));
});

describe("a scan that takes several deliveries", () => {
  it("is one whole backup, although the functions are killed between two of them", { timeout: 120_000 }, async () => {
    const large = await stage.valkey({ version: "8.0" });
    await send(large.endpoint, ["DEBUG", "POPULATE", 30_000, "key", 100], managedUser);
    await register("large", large.endpoint, { maxKeysPerSecond: "3000" });
    const name = await stage.ask("backup.v1.requested", { instance: "large", backupId: "slow" });
    const folder = segmentFolder(backupName("large", "slow"), 0);
    const { vaultBucket } = stage.stack.stack.storage;
    await until(async () => (await stage.objects(vaultBucket, folder)).length > 0, "the first segment");
    stage.stack.killFunctions();
    expect((await stage.ended(name)).error).toBeUndefined();
    const backup = await stage.document<Backup>(backupName("large", "slow"));
    expect(backup).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 30_000, consistency: "FUZZY" }] });
    const [file] = backup?.backupFiles ?? [];
    const span = Date.parse(file?.snapshotEndTime ?? "") - Date.parse(file?.snapshotStartTime ?? "");
    expect(span).toBeGreaterThan(9_000);
    expect(await stage.objects(vaultBucket, folder)).toEqual([]);
  });
});

describe("a cluster", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster({ version: "8.0", shards: 3, replicas: 1 });
    for (const { endpoint } of cluster.nodes) await send(endpoint, managedUser);
    await fill(cluster);
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it("is scanned shard by shard, of its replicas", async () => {
    const own = async (endpoint: string) => Number(await send(endpoint, ["DBSIZE"]));
    await register("spread", cluster.endpoint, { mode: "cluster" });
    const backup = await taken("spread", "whole");
    expect(backup).toMatchObject({ state: "ACTIVE", consistency: "FUZZY", shardCount: 3 });
    expect(backup.backupFiles.map(({ sourceRole, consistency }) => ({ sourceRole, consistency }))).toEqual(
      Array(3).fill({ sourceRole: "REPLICA", consistency: "FUZZY" }),
    );
    const counts = await Promise.all(cluster.shards.map(({ primary }) => own(primary.endpoint)));
    expect(backup.backupFiles.map(({ keys }) => keys)).toEqual(counts);
  });
});

it("leaves all at rest, and every file as it was read", async () => {
  for (const name of [backupName("orders", "whole"), backupName("large", "slow"), backupName("spread", "whole")]) {
    const backup = await stage.document<Backup>(name);
    if (backup !== undefined) expect(backup.state).toBe("ACTIVE");
  }
  await assertAtRest(stage);
});
