import { afterAll, beforeAll, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, collectionName, fileObject, instanceName, manifestObject } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { type Finding, findings } from "../../shared/pipeline/findings.ts";
import { collect, once } from "../../shared/pipeline/stream.ts";
import { fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { holdings } from "./data.ts";
import { startSource } from "./source.ts";
import { assertWhole, backupsOf, openStage, type Stage } from "./stage.ts";

/** What outlives an instance, and Firestore itself, on Google's emulators and a real Valkey. The tests follow one another. */
let stage: Stage;
let source: string;

beforeAll(async () => {
  stage = await openStage();
  source = await startSource(stage, { automatedBackupMode: "enabled", startTimeHours: "3" });
  await stage.done("instance.v1.changed", { instance: "orders" });
});

afterAll(async () => await stage[Symbol.asyncDispose]());

const vault = () => stage.ports.settings.vaultBucket;
const last = backupName("orders", "last");

/** A fresh target of its own, registered by this id, that the backup was restored into. */
async function restored(id: string, backup: string): Promise<string> {
  const { endpoint } = await stage.valkey({ version: "8.0" });
  await stage.register(id, endpoint);
  expect((await stage.done("restore.v1.requested", { instance: id, backup })).error).toBeUndefined();
  return endpoint;
}

async function emptyFirestore(): Promise<void> {
  const { projectId, firestore } = stage.stack.stack;
  const path = `emulator/v1/projects/${projectId}/databases/(default)/documents`;
  const { ok, status } = await fetch(`http://${firestore.host}/${path}`, { method: "DELETE" });
  if (!ok) throw new Error(`Firestore was not emptied: ${status}`);
  expect(await stage.operations()).toEqual([]);
}

async function disagreements(): Promise<Finding[]> {
  const found: Finding[] = [];
  for await (const finding of findings(stage.ports, new AbortController().signal)) found.push(finding);
  return found;
}

/** Puts other contents in the place of an object, with the same marks. */
async function replace(object: string, alter: (text: string) => string): Promise<void> {
  const { objects } = stage.ports;
  const found = await objects.stat(vault(), object);
  if (found === undefined) throw new Error(`there is no ${object}`);
  const text = Buffer.from(await collect(objects.read(found))).toString();
  await objects.remove(found);
  await objects.create(vault(), object, once(Buffer.from(alter(text))), found.metadata);
}

const final = { instance: "orders", backupType: "FINAL", deleteInstance: true } as const;

it("lets an instance stay whose final backup fails", async () => {
  const { endpoint } = await stage.valkey({ password: "right" });
  await stage.register("locked", endpoint, { authSecret: await stage.secret("wrong", "wrong") });
  const { error } = await stage.done("backup.v1.requested", { ...final, instance: "locked" });
  expect(error?.code).toBe("UNAUTHENTICATED");
  expect(await stage.document(instanceName("locked"))).toBeDefined();
  expect((await backupsOf(stage, "locked")).backups).toEqual([]);
});

it("deletes an instance once its final backup is ACTIVE, and that restores", async () => {
  const { error } = await stage.done("backup.v1.requested", { ...final, backupId: "last" });
  expect(error).toBeUndefined();
  expect(await stage.document(instanceName("orders"))).toBeUndefined();
  const isItsSchedule = ({ verb, target, done }: Operation) =>
    verb === "schedule" && target === "instances/orders" && done;
  await until(async () => (await stage.operations()).filter(isItsSchedule).length === 2, "the end of its schedule");
  expect((await stage.ports.scheduler.list()).map(({ id }) => id)).not.toContain("valkeep-backup-orders");
  const backup = await stage.document<Backup>(last);
  expect(backup).toMatchObject({ backupType: "FINAL" });
  if (backup !== undefined) await assertWhole(stage, backup);
  expect(await fingerprint(await restored("copy", last))).toEqual(await fingerprint(source));
});

it("rebuilds the catalogue of an emptied Firestore from a bucket full of anything, and restores from it", async () => {
  await stage.register("orders", source);
  for (const backupId of ["held", "tampered"])
    await stage.done("backup.v1.requested", { instance: "orders", backupId });
  const held = backupName("orders", "held");
  const tampered = backupName("orders", "tampered");
  await stage.done("hold.v1.requested", { backup: held, reason: "audit" });
  const [before, heldBefore] = [await stage.document<Backup>(last), await stage.document<Backup>(held)];
  await emptyFirestore();

  const { objects } = stage.ports;
  const put = (object: string, bytes: Buffer) =>
    objects.create(vault(), object, once(bytes), { operation: "operations/backup-1", shard: "0" });
  await replace(manifestObject(tampered), (text) => text.replace(/"crc32c": "[^"]*"/, '"crc32c": "AAAAAA=="'));
  await put(manifestObject(backupName("orders", "huge")), Buffer.alloc(100_000_000, 0x5b));
  await put(manifestObject(backupName("orders", "deep")), Buffer.from("[".repeat(1_000_000)));
  await put(
    manifestObject(backupName("carts", "elsewhere")),
    Buffer.from(await collect(objects.read(await statOf(manifestObject(last))))),
  );
  await put("backupCollections/orders/backups/last/\u202e😀 ../readme", Buffer.from("x"));
  await put("terraform/state.json", Buffer.from("{}"));
  await put(fileObject(backupName("orders", "left"), 0), Buffer.from("x"));

  const { error, response } = await stage.done("rebuild.v1.requested", {});
  expect(error).toBeUndefined();
  expect(response).toEqual({ rebuilt: 2, present: 0, refused: 4, foreign: 1, recounted: 0 });
  expect(await stage.document(last)).toEqual(before);
  expect(await stage.document(held)).toEqual({
    ...heldBefore,
    hold: {
      reason: expect.stringMatching(/catalogue was rebuilt/),
      createTime: expect.any(String),
      operation: expect.any(String),
    },
  });
  const { backups, collection } = await backupsOf(stage, "orders");
  const totalBackupSizeBytes = backups.reduce((sum, { totalSizeBytes }) => sum + totalSizeBytes, 0);
  expect(collection).toMatchObject({ totalBackupCount: 2, totalBackupSizeBytes });
  expect((await disagreements()).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    `UNLISTED ${manifestObject(backupName("carts", "elsewhere"))}`,
    `UNLISTED ${manifestObject(backupName("orders", "deep"))}`,
    `UNLISTED ${manifestObject(backupName("orders", "huge"))}`,
    "FOREIGN backupCollections/orders/backups/last/\u202e😀 ../readme",
    `ORPHAN ${fileObject(backupName("orders", "left"), 0)}`,
    `UNLISTED ${manifestObject(tampered)}`,
    "FOREIGN terraform/state.json",
  ]);
  const log = (await stage.log()).filter(({ message }) => message === "not taken over");
  expect(log.map(({ object }) => object)).toContain(manifestObject(tampered));
  expect(await fingerprint(await restored("rebuilt", last))).toEqual(await fingerprint(source));
});

it("deletes a collection with all its backups once nothing of it is held", async () => {
  const asked = { collection: collectionName("orders"), confirm: "delete", grace: "0s" } as const;
  const refused = await stage.done("dissolution.v1.requested", asked);
  expect(refused.error).toMatchObject({
    code: "FAILED_PRECONDITION",
    message: expect.stringContaining("held is held"),
  });
  expect((await backupsOf(stage, "orders")).backups.map(({ state }) => state)).toEqual(["ACTIVE", "ACTIVE"]);
  await stage.done("release.v1.requested", { backup: backupName("orders", "held") });
  expect((await stage.done("dissolution.v1.requested", asked)).response).toMatchObject({ deleted: 2 });
  await stage.done("sweep.v1.requested", {});
  await until(async () => (await backupsOf(stage, "orders")).collection === undefined, "the end of the collection");
  expect(await stage.objects(vault(), `${last}/0`)).toEqual([]);
  expect((await holdings(source)).keys).toBeGreaterThan(0);
});

it("looks for orphans with a sweep, and spares what is young", async () => {
  const isWeekly = ({ verb, done }: Operation) => verb === "reclaim" && done;
  expect((await stage.operation(isWeekly)).response).toEqual({ erased: 0, blocked: 0, unlisted: 0 });
  expect(await stage.objects(vault(), "backupCollections/orders/backups/left/")).toHaveLength(1);
});

async function statOf(object: string) {
  const found = await stage.ports.objects.stat(vault(), object);
  if (found === undefined) throw new Error(`there is no ${object}`);
  return found;
}
