import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, expect, it } from "vitest";
import { later } from "../../shared/backup/duration.ts";
import { backupName, fileObject } from "../../shared/backup/name.ts";
import { fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { holdings } from "./data.ts";
import { startRecorder } from "./recorder.ts";
import { startSource } from "./source.ts";
import { backupsOf, openStage, type Stage } from "./stage.ts";

/** The main flows, on Google's emulators and a real Valkey 8.0 that holds every type. */
let stage: Stage;
let source: string;

beforeAll(async () => {
  stage = await openStage();
  source = await startSource(stage);
});

afterAll(async () => await stage[Symbol.asyncDispose]());

/** A fresh target of its own, registered by this id. */
async function target(id: string): Promise<string> {
  const { endpoint } = await stage.valkey({ version: "8.0" });
  await stage.register(id, endpoint);
  return endpoint;
}

const bucketNamed = (name: string) => {
  const { projectId, storage } = stage.stack.stack;
  return new Storage({ projectId, apiEndpoint: storage.apiEndpoint }).bucket(name);
};

it("takes a backup when anybody publishes a request", async () => {
  await stage.publish("backup.v1.requested", { instance: "orders" });
  const { target, error } = await stage.operation(({ verb, done }) => verb === "backup" && done);
  expect({ target, error }).toEqual({ target: "instances/orders", error: undefined });
  const { backups, collection } = await backupsOf(stage, "orders");
  expect(backups).toMatchObject([{ state: "ACTIVE", verification: "CHECKED", backupType: "ON_DEMAND", pins: [] }]);
  expect(collection).toMatchObject({ totalBackupCount: 1, totalBackupSizeBytes: backups[0]?.totalSizeBytes });
  expect(collection).not.toHaveProperty("creating");
});

it("takes one backup when the schedule of an instance fires twice", async () => {
  const { endpoint } = await stage.valkey();
  await stage.register("nightly", endpoint, { automatedBackupMode: "enabled", startTimeHours: "2" });
  await stage.done("instance.v1.changed", { instance: "nightly" });
  await stage.ports.scheduler.run("valkeep-backup-nightly");
  await stage.ports.scheduler.run("valkeep-backup-nightly");
  const isOurs = ({ target, verb }: { target: string; verb: string }) =>
    target === "instances/nightly" && verb === "backup";
  const { error } = await stage.operation((operation) => isOurs(operation) && operation.done);
  expect(error).toBeUndefined();
  const { backups } = await backupsOf(stage, "nightly");
  expect(backups).toMatchObject([{ state: "ACTIVE", verification: "CHECKED", backupType: "AUTOMATED" }]);
  expect(backups[0]?.expireTime).toBe(later(backups[0]?.createTime ?? "", 35 * 86_400));
  expect((await stage.operations()).filter(isOurs)).toHaveLength(1);
});

it("restores every type, encoding, expiry, group and function as it was", async () => {
  const copy = await target("copy");
  const backup = backupName("orders", "every-type");
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "every-type" });
  const { error, response } = await stage.done("restore.v1.requested", { instance: "copy", backup });
  const wanted = await fingerprint(source);
  const keys = Object.values(wanted.databases).reduce((sum, database) => sum + Object.keys(database).length, 0);
  expect({ error, response }).toMatchObject({ error: undefined, response: { keys, expiredKeys: 0, functions: 2 } });
  expect(await fingerprint(copy)).toEqual(wanted);
});

it("restores a file that lands in the inbox into the instance of its folder, once", async () => {
  const landed = await target("landed");
  const { inboxBucket, vaultBucket } = stage.stack.stack.storage;
  const [file] = await bucketNamed(vaultBucket)
    .file(fileObject(backupName("orders", "every-type"), 0))
    .download();
  await bucketNamed(inboxBucket).file("landed/from/anywhere.rdb").save(file);
  const isOurs = ({ target }: { target: string }) => target.endsWith("landed/from/anywhere.rdb");
  const { error } = await stage.operation((operation) => isOurs(operation) && operation.done);
  expect(error).toBeUndefined();
  expect(await fingerprint(landed)).toEqual(await fingerprint(source));
  expect((await stage.operations()).filter(isOurs)).toHaveLength(1);
});

it("backs up and restores an instance that holds nothing", async () => {
  const { endpoint } = await stage.valkey();
  await stage.register("bare", endpoint);
  const copy = await target("bare-copy");
  await stage.done("backup.v1.requested", { instance: "bare", backupId: "nothing" });
  const backup = backupName("bare", "nothing");
  const { error, response } = await stage.done("restore.v1.requested", { instance: "bare-copy", backup });
  expect({ error, response }).toMatchObject({ error: undefined, response: { keys: 0 } });
  expect((await holdings(copy)).keys).toBe(0);
});

it("takes one backup when a request is published twice at once", { timeout: 90_000 }, async () => {
  const request = { instance: "orders", backupId: "asked-twice", requestId: "one-request" };
  await Promise.all([1, 2].map(() => stage.publish("backup.v1.requested", request)));
  const { name, error } = await stage.operation(({ requestId, done }) => requestId === "one-request" && done);
  expect(error).toBeUndefined();
  expect((await stage.operations()).filter(({ requestId }) => requestId === "one-request")).toHaveLength(1);
  expect((await stage.tasks(name)).map(({ type, done, attempt }) => `${type} ${done} ${attempt}`)).toEqual([
    "backup.v1.requested true 1",
    "seal.v1.requested true 1",
    "shard.v1.requested true 1",
  ]);
});

it("changes nothing when every message comes again, twice at once", { timeout: 90_000 }, async () => {
  const recorder = await startRecorder(stage);
  const { vaultBucket, exportBucket: gcsBucket, inboxBucket } = stage.stack.stack.storage;
  const [kept, gone] = [backupName("orders", "kept"), backupName("orders", "gone")];
  const again = await target("again");
  const inboxed = await target("inboxed");
  for (const backupId of ["kept", "gone"]) await stage.done("backup.v1.requested", { instance: "orders", backupId });
  await stage.done("export.v1.requested", { backup: kept, gcsBucket });
  await stage.done("restore.v1.requested", { instance: "again", backup: kept });
  const [file] = await bucketNamed(vaultBucket).file(fileObject(kept, 0)).download();
  await bucketNamed(inboxBucket).file("inboxed/a.rdb").save(file);
  await stage.operation(({ target, done }) => target.endsWith("inboxed/a.rdb") && done);
  await stage.done("deletion.v1.requested", { backup: gone, grace: "0s" });
  await stage.done("undelete.v1.requested", { backup: gone });
  await stage.done("deletion.v1.requested", { backup: gone, grace: "0s" });
  await stage.done("sweep.v1.requested", {});
  await stage.operation(({ verb, target, done }) => verb === "erase" && target === gone && done);
  await stage.operation(({ verb, done }) => verb === "reclaim" && done);
  await until(async () => (await stage.ports.store.query({ collection: "outbox" })).length === 0, "an empty outbox");

  const everything = async () => ({
    documents: await Promise.all(
      ["operations", "tasks", "backups", "backupCollections", "instances", "outbox"].map((collection) =>
        stage.ports.store.query({ collection, group: true }),
      ),
    ),
    objects: await Promise.all([vaultBucket, gcsBucket, inboxBucket].map((bucket) => stage.objects(bucket))),
    servers: await Promise.all([source, again, inboxed].map(holdings)),
  });
  const before = await everything();
  const statuses = await recorder.redeliver();
  await recorder.close();
  expect(recorder.count).toBeGreaterThan(20);
  expect(new Set(statuses)).toEqual(new Set([204]));
  expect(await everything()).toEqual(before);
});
