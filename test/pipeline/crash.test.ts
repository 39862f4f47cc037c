import { afterEach, describe, expect, it } from "vitest";
import { steps } from "../../functions/steps.ts";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import { checkNames } from "../../shared/backup/check.ts";
import { type BackupCopy, copyName } from "../../shared/backup/copy.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { backupName, collectionName, instanceName } from "../../shared/backup/name.ts";
import type { Task, Verb } from "../../shared/backup/operation.ts";
import { inReview } from "../../shared/backup/review.ts";
import { storedObjects } from "../../shared/backup/stored-object.ts";
import { StatusError } from "../../shared/error.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { begin } from "../../shared/pipeline/begin.ts";
import { idOf } from "../../shared/pipeline/change.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { endOperation, submit } from "../../shared/pipeline/submit.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { log, preamble } from "../aof/files.ts";
import { type Fault, faults, isStreaming } from "./crash.ts";
import { objectsOf } from "./objects.ts";
import { register } from "./registered.ts";
import { operationsOf } from "./requested.ts";
import { slowed } from "./slowed.ts";
import { createWorld, exports, inbox, instanceOf, type Manner, onward, type Plan, vault, type World } from "./world.ts";

/** A job of the system and what must be true once it is through, whatever went wrong on the way. */
interface Story {
  name: string;
  /** How far apart the places are where a file can be cut: so close that these small files have an index. */
  borderBytes?: number;
  /** Puts down what the job starts from, undisturbed. */
  prepare(world: World): Promise<void>;
  /** The message that begins it, or how it is begun where no message from outside does. */
  begin: { [T in EventType]?: EventMap[T] } | ((world: World) => Promise<void>);
  holds(world: World): Promise<void>;
}

const orders = backupName("orders", "nightly");

async function withSource(world: World): Promise<void> {
  const source = world.valkey.start("127.0.0.1:7001", 2);
  for (let n = 0; n < 12; n++)
    source.shards[n % 2]?.set(keyName(0, `key-${n}`), {
      type: 0,
      expireTimeMs: -1,
      value: Uint8Array.from(encodeString("v".repeat(10 + n))),
    });
  source.functions.add("#!lua name=lib\nredis.register_function('f', function() return 1 end)");
  await register(world, instanceOf("orders", "127.0.0.1:7001"));
}

async function withBackup(world: World): Promise<void> {
  await withSource(world);
  await ask(world, "backup.v1.requested", { instance: "orders", backupId: "nightly" });
}

async function withTarget(world: World): Promise<void> {
  world.valkey.start("127.0.0.1:7002");
  await register(world, instanceOf("copy", "127.0.0.1:7002"));
}

/** A backup of one shard, and a live instance with two of its keys and one of its own. */
async function withLiveKeys(world: World): Promise<void> {
  await withBackup(world);
  await withTarget(world);
  for (const name of ["key-0", "key-2", "theirs"])
    world.valkey.servers
      .get("127.0.0.1:7002")
      ?.shards[0]?.set(keyName(0, name), { type: 0, expireTimeMs: -1, value: encodeString("live") });
}

/** The keys of the first shard. */
async function restoreKeys(world: World): Promise<void> {
  const selection = "selections/00000000.json";
  const bytes = Buffer.from(JSON.stringify({ keys: "key-*" }));
  await world.ports.objects.create(vault, selection, once(bytes), { selection: "00000000" });
  const gcsSourceUris = [`gs://${vault}/${orders}/0.rdb`];
  const data = {
    instance: "copy",
    gcsSourceUris,
    selection,
    conflictPolicy: "REPLACE",
    execute: true,
    requestId: "r1",
  };
  await world.events.publish({ type: "selection.v1.requested", data, attributes: {} });
}

/** Sets fields of a document, such as a backup's times as if it had been taken long ago. */
async function age<T extends object = Backup>(world: World, path: string, fields: Partial<T>): Promise<void> {
  const doc = await world.ports.store.get<T>(path);
  if (doc === undefined) throw new Error(`there is no ${path}`);
  const aged = { ...doc.data, ...fields };
  const data = /\/backups\/[^/]+$/.test(path) ? inReview(aged as unknown as Backup) : aged;
  await world.ports.store.commit([{ kind: "put", path, data, updateTime: doc.updateTime }]);
}

async function ask<T extends EventType>(world: World, type: T, data: EventMap[T]): Promise<void> {
  await world.events.publish({ type, data, attributes: {} });
  await world.settle();
  await world.clock.advance(1_000);
}

async function theBackup(world: World): Promise<Backup | undefined> {
  return (await world.ports.store.get<Backup>(orders))?.data;
}

async function expectOneBackup(world: World): Promise<void> {
  const backup = await theBackup(world);
  expect(backup).toMatchObject({ state: "ACTIVE", verification: "CHECKED", shardCount: 2 });
  expect(backup?.backupFiles.map(({ fileName, keys }) => [fileName, keys])).toEqual([
    ["0.rdb", 6],
    ["1.rdb", 6],
  ]);
  const named = backup === undefined ? [] : storedObjects(backup).map(({ object }) => object);
  expect(named).toHaveLength(world.ports.settings.borderBytes === undefined ? 2 : 4);
  expect(await objectsOf(world, vault)).toEqual([...named, `${orders}/manifest.json`]);
  const collection = await world.ports.store.get<BackupCollection>(collectionName("orders"));
  expect(collection?.data).toMatchObject({ totalBackupCount: 1, totalBackupSizeBytes: backup?.totalSizeBytes });
  expect(collection?.data.creating).toBeUndefined();
}

/** What holds after every story: everything ended, nothing is held, nothing waits. */
async function expectRest(world: World, verb: Verb): Promise<void> {
  const ended = (await operationsOf(world, verb)).filter(({ requestId }) => requestId === "r1" || verb !== "schedule");
  expect(ended.map(({ done, error }) => ({ done, error }))).toEqual([{ done: true, error: undefined }]);
  expect(ended[0]?.holds).toEqual([]);
  for (const collection of ["outbox", "endpoints", "servers"])
    expect(await world.ports.store.query({ collection })).toEqual([]);
  const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
  expect(tasks.filter(({ data }) => !data.done)).toEqual([]);
}

const stories: Story[] = [
  {
    name: "a backup",
    prepare: withSource,
    begin: { "backup.v1.requested": { instance: "orders", backupId: "nightly", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "backup");
      await expectOneBackup(world);
      expect(world.events.messages.filter(({ type }) => type === "backup.v1.created").length).toBeGreaterThan(0);
    },
  },
  {
    name: "a backup whose files have indexes",
    borderBytes: 40,
    prepare: withSource,
    begin: { "backup.v1.requested": { instance: "orders", backupId: "nightly", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "backup");
      await expectOneBackup(world);
    },
  },
  {
    name: "a backup by scan, in segments",
    async prepare(world) {
      await withSource(world);
      const source = world.valkey.servers.get("127.0.0.1:7001");
      if (source === undefined) throw new Error("there is no source");
      // More than fits one delivery, to all appearances.
      Object.assign(source, { refusesReplication: true, keysOfScan: 4, answers: { usedMemoryBytes: 1e12 } });
    },
    begin: { "backup.v1.requested": { instance: "orders", backupId: "nightly", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "backup");
      await expectOneBackup(world);
      expect(await theBackup(world)).toMatchObject({ consistency: "FUZZY" });
    },
  },
  {
    name: "a backup of a cluster in one lane",
    async prepare(world) {
      await withSource(world);
      const server = world.valkey.servers.get("127.0.0.1:7001");
      if (server !== undefined)
        server.layout = ["0-8191", "8192-16383"].map((slots, n) => ({ slots, node: `node-${n}`, host: `10.0.0.${n}` }));
      await age<Instance>(world, instanceName("orders"), { mode: "CLUSTER", maxParallelShards: 1 });
    },
    begin: { "backup.v1.requested": { instance: "orders", backupId: "nightly", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "backup");
      await expectOneBackup(world);
      expect((await theBackup(world))?.backupFiles.map(({ slots, sourceRole }) => [slots, sourceRole])).toEqual([
        ["0-8191", "PRIMARY"],
        ["8192-16383", "PRIMARY"],
      ]);
    },
  },
  {
    name: "a final backup that takes the instance away",
    async prepare(world) {
      await withSource(world);
      await ask(world, "instance.v1.changed", { instance: "orders" });
    },
    begin: {
      "backup.v1.requested": {
        instance: "orders",
        backupId: "nightly",
        backupType: "FINAL",
        deleteInstance: true,
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "backup");
      await expectOneBackup(world);
      expect(await theBackup(world)).toMatchObject({ backupType: "FINAL" });
      expect(await world.ports.store.get(instanceName("orders"))).toBeUndefined();
      expect((await operationsOf(world, "schedule")).filter(({ done, error }) => !done || error !== undefined)).toEqual(
        [],
      );
      expect(await world.ports.scheduler.list()).toEqual([]);
    },
  },
  {
    name: "an export of files and their indexes",
    borderBytes: 40,
    prepare: withBackup,
    begin: { "export.v1.requested": { backup: orders, gcsBucket: exports, requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "export");
      await expectOneBackup(world);
      await expectCopy(world, exports, "asia-northeast1");
    },
  },
  {
    name: "an export",
    prepare: withBackup,
    begin: { "export.v1.requested": { backup: orders, gcsBucket: exports, requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "export");
      await expectOneBackup(world);
      expect(await objectsOf(world, exports)).toEqual(await objectsOf(world, vault));
      expect((await theBackup(world))?.pins).toEqual([]);
    },
  },
  {
    name: "an export that goes onward",
    prepare: withBackup,
    begin: {
      "export.v1.requested": {
        backup: orders,
        gcsBucket: exports,
        retention: "7d",
        onward: { gcsBucket: onward },
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "export");
      await expectOneBackup(world);
      expect((await theBackup(world))?.pins).toEqual([]);
      await expectCopy(world, exports, "asia-northeast1");
      await expectCopy(world, onward, "asia-northeast2");
    },
  },
  {
    name: "an automated backup that is exported by policy",
    async prepare(world) {
      await withSource(world);
      await age<Instance>(world, instanceName("orders"), {
        exportPolicy: { frequency: "WEEKLY", gcsBucket: exports, onward: { gcsBucket: onward } },
      });
    },
    begin: {
      "backup.v1.requested": {
        instance: "orders",
        backupId: "nightly",
        backupType: "AUTOMATED",
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "backup");
      await expectRest(world, "export");
      await expectOneBackup(world);
      await expectCopy(world, exports, "asia-northeast1");
      await expectCopy(world, onward, "asia-northeast2");
      const { name } = (await operationsOf(world, "export"))[0] ?? {};
      expect((await world.ports.store.get<BackupCollection>(collectionName("orders")))?.data.lastExport).toEqual({
        period: "2026-W01",
        gcsBucket: exports,
        operation: name,
      });
    },
  },
  {
    name: "a sweep that retires a copy",
    async prepare(world) {
      await withBackup(world);
      await ask(world, "backup.v1.requested", { instance: "orders", backupId: "second" });
      const retention = "1d";
      for (const backup of [orders, backupName("orders", "second")])
        await ask(world, "export.v1.requested", { backup, gcsBucket: exports, retention });
      for (const backup of [orders, backupName("orders", "second")])
        await age<BackupCopy>(world, copyName(backup, exports), { expireTime: "2025-12-01T00:00:00.000Z" });
    },
    begin: { "sweep.v1.requested": { requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "sweep");
      expect((await operationsOf(world, "retire")).map(({ error }) => error)).toEqual([undefined]);
      expect(await world.ports.store.get(copyName(orders, exports))).toBeUndefined();
      const second = backupName("orders", "second");
      expect(await world.ports.store.get(copyName(second, exports))).toBeDefined();
      expect(await objectsOf(world, exports)).toEqual(
        ["0.rdb", "1.rdb", "manifest.json"].map((file) => `${second}/${file}`),
      );
      expect(await objectsOf(world, vault)).toHaveLength(6);
    },
  },
  {
    name: "a deletion",
    prepare: withBackup,
    begin: { "deletion.v1.requested": { backup: orders, grace: "1h", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "delete");
      expect(await theBackup(world)).toMatchObject({ state: "DELETING" });
      expect(await objectsOf(world, vault)).toHaveLength(3);
    },
  },
  {
    name: "a hold",
    prepare: withBackup,
    begin: { "hold.v1.requested": { backup: orders, reason: "audit", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "hold");
      await expectOneBackup(world);
      expect((await theBackup(world))?.hold?.reason).toBe("audit");
      for (const object of await objectsOf(world, vault)) await expectKept(world, object);
    },
  },
  {
    name: "a release",
    async prepare(world) {
      await withBackup(world);
      await ask(world, "hold.v1.requested", { backup: orders, reason: "audit" });
    },
    begin: { "release.v1.requested": { backup: orders, requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "release");
      expect((await theBackup(world))?.hold).toBeUndefined();
      await ask(world, "deletion.v1.requested", { backup: orders, grace: "0s" });
      await ask(world, "sweep.v1.requested", {});
      expect(await objectsOf(world, vault)).toEqual([]);
    },
  },
  {
    name: "an expiry that is moved",
    prepare: withBackup,
    begin: { "expiry.v1.requested": { backup: orders, expireTime: "2027-01-31T00:00:00.000Z", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "update");
      await expectOneBackup(world);
      expect(await theBackup(world)).toMatchObject({ expireTime: "2027-01-31T00:00:00.000Z" });
    },
  },
  {
    name: "an undelete",
    async prepare(world) {
      await withBackup(world);
      await ask(world, "deletion.v1.requested", { backup: orders });
    },
    begin: { "undelete.v1.requested": { backup: orders, requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "undelete");
      expect((await theBackup(world))?.purgeTime).toBeUndefined();
      await expectOneBackup(world);
    },
  },
  {
    name: "a sweep that puts one backup down and erases another",
    async prepare(world) {
      await withBackup(world);
      for (const backupId of ["second", "third"])
        await ask(world, "backup.v1.requested", { instance: "orders", backupId });
      await age(world, orders, { expireTime: "2025-12-01T00:00:00.000Z" });
      await age(world, backupName("orders", "second"), { state: "DELETING", purgeTime: "2025-12-01T00:00:00.000Z" });
    },
    begin: { "sweep.v1.requested": { requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "sweep");
      expect((await operationsOf(world, "delete")).map(({ error }) => error)).toEqual([undefined]);
      expect((await operationsOf(world, "erase")).map(({ error }) => error)).toEqual([undefined]);
      expect(await theBackup(world)).toMatchObject({ state: "DELETING" });
      expect(await world.ports.store.get(backupName("orders", "second"))).toBeUndefined();
      const third = backupName("orders", "third");
      expect(await objectsOf(world, vault)).toEqual(
        [orders, third].flatMap((name) => ["0.rdb", "1.rdb", "manifest.json"].map((file) => `${name}/${file}`)),
      );
      expect((await world.ports.store.get<BackupCollection>(collectionName("orders")))?.data.totalBackupCount).toBe(2);
    },
  },
  {
    name: "a deletion of a collection with all its backups",
    async prepare(world) {
      await withBackup(world);
      await ask(world, "backup.v1.requested", { instance: "orders", backupId: "second" });
      await world.ports.store.commit([{ kind: "remove", path: instanceName("orders") }]);
    },
    begin: {
      "dissolution.v1.requested": {
        collection: collectionName("orders"),
        confirm: "delete",
        grace: "0s",
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "dissolve");
      expect((await operationsOf(world, "dissolve"))[0]?.response).toMatchObject({ deleted: 2, kept: 0 });
      const collection = await world.ports.store.get<BackupCollection>(collectionName("orders"));
      expect(collection?.data).toMatchObject({ totalBackupCount: 2, deleteTime: expect.any(String) });
      expect(collection?.data.deleting).toBeUndefined();
      await ask(world, "sweep.v1.requested", {});
      expect((await operationsOf(world, "erase")).map(({ error }) => error)).toEqual([undefined, undefined]);
      expect(await objectsOf(world, vault)).toEqual([]);
      expect(await world.ports.store.get(collectionName("orders"))).toBeUndefined();
    },
  },
  {
    name: "an erasure of what lies in the vault of no backup",
    async prepare(world) {
      await withBackup(world);
      const source = await world.ports.objects.stat(vault, `${orders}/0.rdb`);
      if (source === undefined) throw new Error("there is no file to copy");
      const metadata = { operation: "operations/backup-00000000", shard: "0" };
      for (const id of ["gone", "lost"])
        await world.ports.objects.copy(
          source,
          { bucket: vault, object: `${backupName("orders", id)}/0.rdb` },
          metadata,
        );
      await world.clock.advance(8 * 86_400_000);
    },
    begin: { "orphans.v1.requested": { requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "reclaim");
      await expectOneBackup(world);
    },
  },
  {
    name: "a rebuild of what Firestore has lost",
    async prepare(world) {
      await withBackup(world);
      const paths = Object.keys(world.ports.store.all());
      await world.ports.store.commit(paths.map((path) => ({ kind: "remove", path })));
    },
    begin: { "rebuild.v1.requested": { requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "rebuild");
      expect((await operationsOf(world, "rebuild"))[0]?.response).toMatchObject({
        rebuilt: 1,
        refused: 0,
        recounted: 0,
      });
      await expectOneBackup(world);
    },
  },
  {
    name: "an erasure that its bucket puts off",
    async prepare(world) {
      await withBackup(world);
      world.ports.objects.retain(vault, 3 * 86_400);
      await ask(world, "deletion.v1.requested", { backup: orders, grace: "0s" });
    },
    begin: { "sweep.v1.requested": { requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "sweep");
      const [erasure, ...more] = await operationsOf(world, "erase");
      expect({ more, error: erasure?.error }).toEqual({ more: [], error: undefined });
      const found = await theBackup(world);
      expect(found).toMatchObject({ state: "DELETING", deferredBy: "RETENTION_POLICY" });
      expect([found?.deferredUntil?.slice(0, 10), found?.purgeStartTime]).toEqual(["2026-01-04", undefined]);
      expect(await objectsOf(world, vault)).toHaveLength(3);
      await world.clock.advance(3 * 86_400_000);
      await ask(world, "sweep.v1.requested", {});
      expect([await theBackup(world), await objectsOf(world, vault)]).toEqual([undefined, []]);
    },
  },
  {
    name: "leftovers that the bucket keeps for a while",
    async prepare(world) {
      world.ports.objects.retain(vault, 300);
      const metadata = { operation: "operations/backup-dead" };
      for (const file of ["0.rdb", "1.rdb"])
        await world.ports.objects.create(vault, `${orders}/${file}`, once(Buffer.from("half")), metadata);
    },
    async begin({ ports }) {
      const data = { backup: orders, operation: "operations/backup-dead" };
      await begin(ports, "erase-1", "erasure.v1.requested", data);
    },
    async holds(world) {
      const all = await operationsOf(world, "erase");
      const first = all.find(({ name }) => name === "operations/erase-1");
      const [second, ...more] = all.filter((one) => one !== first);
      expect(more).toEqual([]);
      expect(first).toMatchObject({ done: true, response: { deferredBy: "RETENTION_POLICY" } });
      expect(second).toMatchObject({ done: true, response: { backup: orders } });
      expect([first?.error, second?.error, second?.response?.deferredUntil]).toEqual([undefined, undefined, undefined]);
      expect(await objectsOf(world, vault)).toEqual([]);
    },
  },
  {
    name: "a restore of a backup",
    async prepare(world) {
      await withBackup(world);
      await withTarget(world);
    },
    begin: { "restore.v1.requested": { instance: "copy", backup: orders, allowShrink: true, requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "restore");
      await expectOneBackup(world);
      expect((await theBackup(world))?.pins).toEqual([]);
      await expectSameData(world);
    },
  },
  {
    name: "a restore of a backup in parts, two at a time, with marks on their way",
    borderBytes: 40,
    async prepare(world) {
      await withBackup(world);
      await withTarget(world);
      slowed(world, 3_000);
    },
    begin: {
      "restore.v1.requested": {
        instance: "copy",
        backup: orders,
        allowShrink: true,
        maxParallelLoads: 2,
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "restore");
      await expectOneBackup(world);
      expect((await operationsOf(world, "restore"))[0]?.plan?.parts.length).toBeGreaterThan(3);
      await expectSameData(world);
    },
  },
  {
    name: "a restore of an AOF in several files",
    async prepare(world) {
      await withTarget(world);
      const names = "file base.rdb seq 1 type b\nfile 1.aof seq 1 type i\nfile 2.aof seq 2 type i\n";
      const files = {
        "base.rdb": preamble(3),
        "1.aof": log("APPEND key-0 a", "INCR n", "SELECT 1", "INCR n"),
        "2.aof": log("INCR n", "MULTI", "APPEND key-0 b", "INCR n", "EXEC"),
        "aof.manifest": Buffer.from(names),
      };
      for (const [name, bytes] of Object.entries(files))
        await world.ports.objects.create(exports, `aof/${name}`, once(bytes), {});
    },
    begin: {
      "restore.v1.requested": {
        instance: "copy",
        gcsSourceUris: [`gs://${exports}/aof/aof.manifest`],
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "restore");
      expect((await operationsOf(world, "restore"))[0]?.response).toMatchObject({ keys: 5, commands: 6 });
      const held = [...(world.valkey.servers.get("127.0.0.1:7002")?.shards[0] ?? [])];
      expect(new Map(held.map(([name, { value }]) => [name, Buffer.from(value.subarray(1)).toString()]))).toEqual(
        new Map([
          [keyName(0, "key-0"), "vab"],
          [keyName(0, "key-1"), "v"],
          [keyName(0, "key-2"), "v"],
          [keyName(0, "n"), "3"],
          [keyName(1, "n"), "1"],
        ]),
      );
    },
  },
  {
    name: "a replay whose restore was cancelled",
    async prepare(world) {
      await withTarget(world);
      await world.ports.objects.create(exports, "a.aof", once(log("INCR n")), {});
      const data = { instance: "copy", gcsSourceUris: [`gs://${exports}/a.aof`] };
      await world.events.publish({ type: "restore.v1.requested", data, attributes: {} });
      for (const _ of ["the plan", "the mark"]) for (const message of world.events.take()) await world.deliver(message);
      expect(targetKeys(world)).toEqual([expect.stringMatching(/^valkeep:replay:/)]);
      const [restore] = await operationsOf(world, "restore");
      await endOperation(world.ports, restore?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    },
    begin: {},
    async holds(world) {
      const ended = await operationsOf(world, "restore");
      expect(ended.map(({ done, error }) => `${done} ${error?.code}`).sort()).toEqual([
        "true CANCELLED",
        "true undefined",
      ]);
      expect(targetKeys(world)).toEqual([]);
      expect((await world.ports.store.get<Instance>(instanceName("copy")))?.data.restoring).toBeUndefined();
      expect(await world.ports.store.query({ collection: "endpoints" })).toEqual([]);
    },
  },
  {
    name: "a dry run of a restore into an endpoint that nobody has registered",
    async prepare(world) {
      await withBackup(world);
      world.valkey.start("127.0.0.1:7002");
      const data = { instance: "copy", backup: orders, dryRun: true, allowShrink: true, requestId: "r1" };
      await submit(world.ports, "restore.v1.requested", data, async (change) => {
        change.operation.dryRunTarget = instanceOf("copy", "127.0.0.1:7002");
      });
    },
    begin: {},
    async holds(world) {
      await expectRest(world, "restore");
      await expectOneBackup(world);
      expect((await theBackup(world))?.pins).toEqual([]);
      expect((await operationsOf(world, "restore"))[0]?.checks).toHaveLength(checkNames.length);
      expect(world.valkey.servers.get("127.0.0.1:7002")?.shards[0]?.size).toBe(0);
      expect(await world.ports.store.get(instanceName("copy"))).toBeUndefined();
    },
  },
  {
    name: "a restore of single keys into a live instance",
    prepare: withLiveKeys,
    begin: async (world) => await restoreKeys(world),
    async holds(world) {
      await expectRest(world, "restore");
      expect((await operationsOf(world, "restore"))[0]?.response).toMatchObject({
        matched: 6,
        created: 4,
        replaced: 2,
        changed: 0,
      });
      const held = world.valkey.servers.get("127.0.0.1:7002")?.shards[0];
      const source = world.valkey.servers.get("127.0.0.1:7001")?.shards[0];
      expect(held?.size).toBe(7);
      for (const [name, key] of source ?? []) expect(held?.get(name)).toEqual(key);
      expect((await theBackup(world))?.pins).toEqual([]);
    },
  },
  {
    name: "an undo of a restore of single keys",
    async prepare(world) {
      await withLiveKeys(world);
      await restoreKeys(world);
      await world.settle();
    },
    async begin(world) {
      const [restore] = await operationsOf(world, "restore");
      const data = { restore: restore?.name ?? "", execute: true, requestId: "r1" };
      await world.events.publish({ type: "undo.v1.requested", data, attributes: {} });
    },
    async holds(world) {
      await expectRest(world, "undo");
      const held = [...(world.valkey.servers.get("127.0.0.1:7002")?.shards[0] ?? [])];
      expect(held.map(([name, { value }]) => [name, Buffer.from(value).toString()]).sort()).toEqual(
        ["key-0", "key-2", "theirs"].map((name) => [keyName(0, name), "\u0004live"]),
      );
    },
  },
  {
    name: "a restore of files in a bucket",
    async prepare(world) {
      await withBackup(world);
      await withTarget(world);
    },
    begin: {
      "restore.v1.requested": {
        instance: "copy",
        gcsSourceUris: [`gs://${vault}/${orders}/0.rdb`, `gs://${vault}/${orders}/1.rdb`],
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "restore");
      await expectSameData(world);
    },
  },
  {
    name: "a restore of files in a bucket in parts",
    borderBytes: 40,
    async prepare(world) {
      await withBackup(world);
      await withTarget(world);
    },
    begin: {
      "restore.v1.requested": {
        instance: "copy",
        gcsSourceUris: [`gs://${vault}/${orders}/0.rdb`, `gs://${vault}/${orders}/1.rdb`],
        maxParallelLoads: 2,
        requestId: "r1",
      },
    },
    async holds(world) {
      await expectRest(world, "restore");
      expect((await operationsOf(world, "restore"))[0]?.plan?.parts.length).toBeGreaterThan(3);
      await expectSameData(world);
    },
  },
  {
    name: "a restore of a file that lands in the inbox",
    async prepare(world) {
      await withBackup(world);
      await withTarget(world);
    },
    async begin({ ports: { objects }, events }) {
      const source = await objects.stat(vault, `${orders}/0.rdb`);
      if (source === undefined) throw new Error("there is no file to land");
      const landed = await objects.copy(source, { bucket: inbox, object: "copy/0.rdb" }, {});
      const attributes = {
        eventType: "OBJECT_FINALIZE",
        bucketId: inbox,
        objectId: landed.object,
        objectGeneration: landed.generation,
      };
      await events.publish({ type: "object.v1.finalized", data: {}, attributes });
    },
    async holds(world) {
      await expectRest(world, "restore");
      const [source, target] = ["127.0.0.1:7001", "127.0.0.1:7002"].map((at) => world.valkey.servers.get(at));
      expect(target?.shards[0]).toEqual(source?.shards[0]);
      expect((await world.ports.store.get<Instance>(instanceName("copy")))?.data.restoring).toBeUndefined();
    },
  },
  {
    name: "a change of an instance's schedule",
    prepare: withSource,
    begin: { "instance.v1.changed": { instance: "orders", requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "schedule");
      expect(await world.ports.scheduler.list()).toHaveLength(1);
      expect(await world.ports.scheduler.get("valkeep-backup-orders")).toMatchObject({
        cron: "0 2 * * *",
        state: "ENABLED",
      });
    },
  },
  {
    name: "a backup that a window puts off",
    async prepare(world) {
      await withSource(world);
      const doc = await world.ports.store.get<Instance>(instanceName("orders"));
      if (doc === undefined) throw new Error("there is no instance");
      const wednesday = { day: "WEDNESDAY", startTime: { hours: 23, minutes: 0 }, durationSeconds: 3660 } as const;
      const maintenancePolicy = { weeklyMaintenanceWindow: [wednesday], timeZone: "Etc/UTC" }; // it ends in a minute
      const data = { ...doc.data, maintenancePolicy };
      await world.ports.store.commit([{ kind: "put", path: doc.path, data, updateTime: doc.updateTime }]);
    },
    begin: {
      "backup.v1.requested": { instance: "orders", backupId: "nightly", backupType: "AUTOMATED", requestId: "r1" },
    },
    async holds(world) {
      await expectRest(world, "backup");
      await expectOneBackup(world);
      const [operation] = await operationsOf(world, "backup");
      const { postponed, createTime = "", deadlineTime = "" } = operation ?? {};
      if (postponed !== undefined) expect(postponed.until).toBe("2026-01-01T00:01:00.000Z");
      // Put off once, if its first delivery got so far before the window ended.
      const moved = (Date.parse(deadlineTime) - Date.parse(createTime)) / 1000 - 6 * 3600;
      expect(moved >= 0 && moved <= 60).toBe(true);
    },
  },
  {
    name: "a reconciliation with much to do",
    async prepare(world) {
      await withSource(world);
      await world.clock.advance(2.5 * 3_600_000);
    },
    begin: { "reconciliation.v1.requested": { requestId: "r1" } },
    async holds(world) {
      await expectRest(world, "schedule");
      await expectRest(world, "backup");
      const changes = (await operationsOf(world, "schedule")).map(({ error }) => error);
      expect(changes.filter((error) => error !== undefined)).toEqual([]);
      expect(await world.ports.scheduler.list()).toMatchObject([{ id: "valkeep-backup-orders", state: "ENABLED" }]);
      const backups = await world.ports.store.query<Backup>({ collection: "backups", group: true });
      expect(backups.map(({ data }) => [data.state, data.backupType])).toEqual([["ACTIVE", "AUTOMATED"]]);
    },
  },
];

/** The backup is whole in a bucket, and on record there as it is. */
async function expectCopy(world: World, bucket: string, location: string): Promise<void> {
  const copy = (await world.ports.store.get<BackupCopy>(copyName(orders, bucket)))?.data;
  expect(copy).toMatchObject({ backup: orders, gcsBucket: bucket, location });
  const wanted = await objectsOf(world, vault);
  expect(copy?.objects.map(({ object }) => object)).toEqual(wanted);
  expect(await objectsOf(world, bucket)).toEqual(wanted);
  for (const { object, generation } of copy?.objects ?? []) {
    expect(world.ports.objects.contents(bucket, object)).toEqual(world.ports.objects.contents(vault, object));
    expect(await world.ports.objects.stat(bucket, object)).toMatchObject({ generation });
  }
}

/** The names of the keys of the target. */
const targetKeys = ({ valkey }: World): string[] =>
  [...(valkey.servers.get("127.0.0.1:7002")?.shards[0]?.keys() ?? [])].map((name) =>
    Buffer.from(name.slice(name.indexOf(":") + 1), "hex").toString(),
  );

/** A hold in the bucket keeps the object, whatever is asked. */
async function expectKept(world: World, object: string): Promise<void> {
  const found = await world.ports.objects.stat(vault, object);
  if (found === undefined) throw new Error(`there is no ${object}`);
  await expect(world.ports.objects.remove(found)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
}

async function expectSameData(world: World): Promise<void> {
  const instance = (await world.ports.store.get<Instance>(instanceName("copy")))?.data;
  expect(instance?.restoring).toBeUndefined();
  const source = world.valkey.servers.get("127.0.0.1:7001");
  const target = world.valkey.servers.get("127.0.0.1:7002");
  const wanted = new Map(source?.shards.flatMap((shard) => [...shard]));
  expect(target?.shards[0]).toEqual(wanted);
  expect(target?.functions).toEqual(source?.functions);
}

/** Runs a story, its `plan` counting the deliveries from its first message on; so does the log. */
async function play(story: Story, plan?: Plan, manner: Manner = {}): Promise<World> {
  const world = createWorld(story);
  await story.prepare(world);
  world.plan(plan);
  world.lines.length = 0;
  if (typeof story.begin === "function") await story.begin(world);
  else
    for (const [type, data] of Object.entries(story.begin))
      await world.events.publish({ type: type as EventType, data, attributes: {} });
  await world.settle(manner);
  return world;
}

/** Every effect of every delivery of an undisturbed run. */
async function effectsOf(story: Story, manner: Manner): Promise<{ delivery: number; effect: number; name: string }[]> {
  const world = await play(story, undefined, manner);
  return world.deliveries.flatMap(({ effects }, delivery) =>
    effects.map((name, effect) => ({ delivery, effect, name })),
  );
}

/** Plays the story once for every effect, going wrong there; answers the effects at which nothing did. */
async function disturbEach(story: Story, fault: Fault, manner: Manner = {}): Promise<string[]> {
  const missed: string[] = [];
  for (const { delivery, effect, name } of await effectsOf(story, manner)) {
    last = await play(story, { delivery, effect, fault }, manner);
    if (!last.wasHit()) missed.push(name);
    await story.holds(last).catch((cause) => {
      throw new Error(`${fault} ${name}, effect ${effect} of delivery ${delivery}: ${cause.message}`, { cause });
    });
  }
  return missed;
}

/** Effects that must go wrong: in the midst of a stream whatever stores one, else whatever answers none. */
const isDisturbed = (name: string, fault: Fault): boolean =>
  fault === "mid" ? name === "objects.create" : !isStreaming(name);

let last: World | undefined;
afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(
      last?.lines
        .slice(-30)
        .map((line) => JSON.stringify(line))
        .join("\n"),
    );
});

describe.each(stories)("$name", (story) => {
  it("ends well undisturbed", async () => {
    last = await play(story);
    await story.holds(last);
  });

  it.each(faults)("ends well whichever effect goes wrong: %s", async (fault) => {
    const missed = await disturbEach(story, fault);
    expect(missed.filter((name) => isDisturbed(name, fault))).toEqual([]);
  });

  it.each([
    "frozen",
    "thawed",
  ] as const)("ends well when a delivery %s at any effect goes on beside its successor", async (fault) => {
    const missed = await disturbEach(story, fault, { isRacing: true });
    expect(missed.filter((name) => isDisturbed(name, fault))).toEqual([]);
  });

  it("ends well when Pub/Sub forgets every message of ours once", async () => {
    last = await play(story, undefined, { isForgetful: true });
    await story.holds(last);
  });

  it("ends well when every message comes twice at once", async () => {
    last = await play(story, undefined, { isTwice: true });
    await story.holds(last);
  });

  it("is not disturbed by any of its messages coming again late", async () => {
    last = await play(story);
    for (const message of last.events.messages.slice()) await last.deliver(message);
    await last.settle();
    await story.holds(last);
  });
});

it.each([
  "before",
  "after",
  "answered",
] as const)("a backup ends well whichever effect goes wrong, relay's too, where every message is lost once: %s", async (fault) => {
  const [backup] = stories;
  if (backup === undefined) throw new Error("there is no story");
  const missed = await disturbEach(backup, fault, { isForgetful: true });
  expect(missed.filter((name) => isDisturbed(name, fault))).toEqual([]);
});

it("the stories have every step of every function done", async () => {
  const done = new Set<string>();
  for (const story of stories)
    for (const { message, fields } of (await play(story)).lines)
      if (message === "done") done.add(idOf(String(fields.task)).replace(/:.*/, ""));
  const registered = Object.values(steps).flatMap((all) => all.map(({ on }) => on));
  expect([...done].sort()).toEqual(registered.sort());
});
