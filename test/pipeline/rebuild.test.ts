import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection } from "../../shared/backup/backup.ts";
import { later } from "../../shared/backup/duration.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { manifestBytes } from "../../shared/backup/manifest.ts";
import { backupName, collectionName, fileObject, manifestObject } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { ObjectInfo } from "../../shared/pipeline/ports.ts";
import { collect, once } from "../../shared/pipeline/stream.ts";
import { change } from "./change.ts";
import { register } from "./registered.ts";
import { begun, operationsOf } from "./requested.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

const one = backupName("orders", "one");
const two = backupName("orders", "two");
const cart = backupName("carts", "one");
let world: World;

/** Two instances, one of two shards, with three backups between them. */
beforeEach(async () => {
  world = createWorld();
  for (const [n, id] of ["orders", "carts"].entries()) {
    world.valkey.start(`127.0.0.1:700${n}`, n + 1);
    await register(world, instanceOf(id, `127.0.0.1:700${n}`));
  }
  await ask("backup.v1.requested", { instance: "orders", backupId: "one" });
  await ask("backup.v1.requested", { instance: "orders", backupId: "two", ttl: "14d" });
  await ask("backup.v1.requested", { instance: "carts", backupId: "one" });
});

const ask = (type: EventType, data: object) => begun(world, type, data);
const operations = () => operationsOf(world);
const backup = async (name: string) => (await world.ports.store.get<Backup>(name))?.data;
const collection = async (id: string) => (await world.ports.store.get<BackupCollection>(collectionName(id)))?.data;

/** Everything that Firestore knows of backups, by its path. */
async function catalogue(): Promise<Record<string, unknown>> {
  const docs = await Promise.all(
    ["backups", "backupCollections"].map((name) => world.ports.store.query({ collection: name, group: true })),
  );
  return Object.fromEntries(docs.flat().map(({ path, data }) => [path, data]));
}

/** Firestore, emptied: whatever ran is forgotten too. */
async function forgetEverything(): Promise<void> {
  const paths = Object.keys(world.ports.store.all());
  await world.ports.store.commit(paths.map((path) => ({ kind: "remove", path })));
}

async function stored(object: string): Promise<ObjectInfo> {
  const found = await world.ports.objects.stat(vault, object);
  if (found === undefined) throw new Error(`there is no ${object}`);
  return found;
}

const put = (object: string, bytes: Uint8Array | string, metadata: Record<string, string> = {}): Promise<ObjectInfo> =>
  world.ports.objects.create(vault, object, once(Buffer.from(bytes)), metadata);

/** Puts other contents, or other metadata, in the place of an object. */
async function replace(
  object: string,
  alter: (text: string) => string | Uint8Array,
  metadata?: Record<string, string>,
): Promise<void> {
  const { objects } = world.ports;
  const found = await stored(object);
  const text = Buffer.from(await collect(objects.read(found))).toString("latin1");
  await objects.remove(found);
  await objects.create(vault, object, once(Buffer.from(alter(text))), metadata ?? found.metadata);
}

const altered = (alter: (manifest: Record<string, unknown>) => unknown) => (text: string) =>
  `${JSON.stringify(alter(JSON.parse(text)), null, 2)}\n`;

describe("rebuilding the catalogue", () => {
  it("of an emptied Firestore brings back every backup and collection as it was", async () => {
    const before = await catalogue();
    await forgetEverything();
    const { response, error } = await ask("rebuild.v1.requested", {});
    expect(error).toBeUndefined();
    expect(response).toEqual({ rebuilt: 3, present: 0, refused: 0, foreign: 0, recounted: 0 });
    expect(await catalogue()).toEqual(before);
  });

  it("changes nothing where nothing is missing", async () => {
    const before = await catalogue();
    const { response } = await ask("rebuild.v1.requested", {});
    expect(response).toEqual({ rebuilt: 0, present: 3, refused: 0, foreign: 0, recounted: 0 });
    expect(await catalogue()).toEqual(before);
  });

  it("overwrites no document that is there, and puts the totals right", async () => {
    await change<Backup>(world, one, { expireTime: "2126-01-01T00:00:00.000Z" });
    await world.ports.store.commit([{ kind: "remove", path: two }]);
    await change<BackupCollection>(world, collectionName("orders"), {
      totalBackupCount: 17,
      retentionPolicy: { keepLast: 3 },
    });
    const { response } = await ask("rebuild.v1.requested", {});
    expect(response).toMatchObject({ rebuilt: 1, present: 2, recounted: 1 });
    expect((await backup(one))?.expireTime).toBe("2126-01-01T00:00:00.000Z");
    const totalBackupSizeBytes =
      ((await backup(one))?.totalSizeBytes ?? 0) + ((await backup(two))?.totalSizeBytes ?? 0);
    expect(await collection("orders")).toMatchObject({
      totalBackupCount: 2,
      totalBackupSizeBytes,
      retentionPolicy: { keepLast: 3 },
    });
  });

  it("puts down a collection whose backups are all there", async () => {
    const before = await collection("orders");
    await world.ports.store.commit([{ kind: "remove", path: collectionName("orders") }]);
    await ask("rebuild.v1.requested", {});
    expect(await collection("orders")).toEqual(before);
  });

  it("joins what was lost to a collection that has been begun anew", async () => {
    const { createTime } = (await collection("orders")) ?? {};
    await forgetEverything();
    await register(world, instanceOf("orders", "127.0.0.1:7000"));
    await ask("backup.v1.requested", { instance: "orders", backupId: "three" });
    expect((await collection("orders"))?.totalBackupCount).toBe(1);
    await ask("rebuild.v1.requested", {});
    const three = await backup(backupName("orders", "three"));
    expect(await collection("orders")).toMatchObject({
      createTime,
      totalBackupCount: 3,
      lastBackupTime: three?.createTime,
    });
  });

  it("takes the mark of deletion from a collection of which something comes back", async () => {
    await ask("dissolution.v1.requested", { collection: collectionName("orders"), confirm: "delete" });
    await change<BackupCollection>(world, collectionName("orders"), { deleteTime: "2026-01-01T00:00:00.000Z" });
    await world.ports.store.commit([{ kind: "remove", path: two }]);
    await ask("rebuild.v1.requested", {});
    expect(await collection("orders")).not.toHaveProperty("deleteTime");
  });

  it("brings back a held backup held, so that nothing takes it", async () => {
    await ask("hold.v1.requested", { backup: two, reason: "audit" });
    await forgetEverything();
    await ask("rebuild.v1.requested", {});
    expect((await backup(two))?.hold?.reason).toMatch(/held when the catalogue was rebuilt/);
    expect(await backup(one)).not.toHaveProperty("hold");
    await ask("release.v1.requested", { backup: two });
    expect((await stored(fileObject(two, 0))).isHeld).toBeUndefined();
  });

  it("gives a backup whose time has passed one more day", async () => {
    await forgetEverything();
    await world.clock.advance(30 * 86_400_000);
    const { createTime } = await ask("rebuild.v1.requested", {});
    expect((await backup(two))?.expireTime).toBe(later(createTime, 86_400));
    await ask("sweep.v1.requested", {});
    expect((await backup(two))?.state).toBe("ACTIVE");
  });

  it("reaches every backup where there are more than one message looks at", async () => {
    const made = await backup(one);
    if (made === undefined) throw new Error(`there is no ${one}`);
    for (let n = 0; n < 600; n++) {
      const name = backupName("orders", `copy-${n}`);
      const metadata = { operation: made.operation, shard: "0" };
      const { generation, createTime } = await put(
        fileObject(name, 0),
        world.ports.objects.contents(vault, fileObject(one, 0)) ?? "",
        metadata,
      );
      const backupFiles = made.backupFiles.map((file) => ({ ...file, generation, createTime }));
      await put(manifestObject(name), manifestBytes({ ...made, name, backupFiles }), { operation: made.operation });
    }
    await forgetEverything();
    const { name, response } = await ask("rebuild.v1.requested", {});
    expect(response).toMatchObject({ rebuilt: 603, refused: 0, foreign: 0 });
    expect((await collection("orders"))?.totalBackupCount).toBe(602);
    const tasks = await world.ports.store.query({ collection: `${name}/tasks` });
    expect(tasks.length).toBeGreaterThanOrEqual(4);
  });

  it("gets through a heap of foreign objects longer than a page", async () => {
    for (let n = 0; n < 1_200; n++) await put(`${one}/${n}.txt`, "");
    await forgetEverything();
    expect((await ask("rebuild.v1.requested", {})).response).toMatchObject({ rebuilt: 3, foreign: 1_200 });
  });

  it.each([
    "backupCollections/orders/backups/x",
    "backupCollections/orders/backups/one/manifest.json/manifest.json",
    "backupCollections/orders/backups/one/00.rdb",
    "backupCollections/orders/backups/one/1000.rdb",
    "backupCollections/orders/backups/../manifest.json",
    "backupCollections/Orders/backups/one/manifest.json",
    "backupCollections//backups/one/manifest.json",
    "backupCollections/orders/backups/one\u0000/manifest.json",
    "backupCollections/orders/backups/\u202eeno/manifest.json",
    "backupCollections/orders/manifest.json",
  ])("passes over the foreign object %j", async (object) => {
    await forgetEverything();
    await put(object, "{}", { operation: "operations/backup-1" });
    expect((await ask("rebuild.v1.requested", {})).response).toMatchObject({ rebuilt: 3, refused: 0, foreign: 1 });
  });

  it.each([
    ["nothing", ""],
    ["null", "null"],
    ["a number", "17"],
    ["no JSON", "{"],
    ["no text", Buffer.from([0xff, 0xfe])],
    ["arrays in arrays", "[".repeat(500_000) + "]".repeat(500_000)],
    [
      "objects in objects",
      `{"manifestVersion":1,"name":"${backupName("orders", "junk")}","backupFiles":${'[{"a":'.repeat(100_000)}1${"}]".repeat(100_000)},"shardCount":1}`,
    ],
    ["100 MB", Buffer.alloc(100_000_000, 0x20)],
  ])("survives a manifest that is %s", async (_, contents) => {
    await forgetEverything();
    await put(manifestObject(backupName("orders", "junk")), contents, { operation: "operations/backup-1" });
    const { response, error } = await ask("rebuild.v1.requested", {});
    expect([response, error]).toEqual([{ rebuilt: 3, present: 0, refused: 1, foreign: 0, recounted: 0 }, undefined]);
    expect(world.lines.find(({ message }) => message === "not taken over")?.fields).toMatchObject({
      object: manifestObject(backupName("orders", "junk")),
      reason: expect.any(String),
    });
  });

  it.each<[string, (manifest: Record<string, unknown>) => unknown, RegExp]>([
    ["another name", (manifest) => ({ ...manifest, name: one }), /is of another backup/],
    ["another instance", (manifest) => ({ ...manifest, instance: "instances/carts" }), /is of instances\/carts/],
    ["a fact of ours missing", ({ uid: _, ...manifest }) => manifest, /uid/],
    ["a fact that nobody knows", (manifest) => ({ ...manifest, note: "x" }), /not one of ours/],
    ["no shards", (manifest) => ({ ...manifest, shardCount: 0, backupFiles: [], totalSizeBytes: 0 }), /shardCount/],
    ["a size that is wrong", (manifest) => ({ ...manifest, totalSizeBytes: 1 }), /do not add up/],
    ["a time that is none", (manifest) => ({ ...manifest, expireTime: "never" }), /expireTime/],
    ["a later version", (manifest) => ({ ...manifest, manifestVersion: 2 }), /has version 2/],
    [
      "another operation",
      (manifest) => ({ ...manifest, operation: "operations/backup-0" }),
      /manifest.json was not written by/,
    ],
    ["a generation that is not there", withFile({ generation: "1" }), /generation is \d+, 1 was recorded/],
    ["another checksum", withFile({ crc32c: "AAAAAA==" }), /crc32c is .*AAAAAA== was recorded/],
    [
      "another size",
      (manifest) => ({ ...Object(withFile({ sizeBytes: 1 })(manifest)), totalSizeBytes: 1 }),
      /sizeBytes is \d+, 1 was recorded/,
    ],
    ["another file name", withFile({ fileName: "../one/0.rdb" }), /not those of its shards/],
  ])("takes over no manifest with %s, and says so", async (_, alter, reason) => {
    await forgetEverything();
    await replace(manifestObject(two), altered(alter));
    expect((await ask("rebuild.v1.requested", {})).response).toMatchObject({ rebuilt: 2, refused: 1 });
    expect(await backup(two)).toBeUndefined();
    expect(world.lines.findLast(({ message }) => message === "not taken over")?.fields).toEqual({
      object: manifestObject(two),
      reason: expect.stringMatching(reason),
    });
    expect((await collection("orders"))?.totalBackupCount).toBe(1);
  });

  it.each([
    ["is missing", () => stored(fileObject(cart, 1)).then((file) => world.ports.objects.remove(file))],
    [
      "was replaced by one of the same bytes",
      () => replace(fileObject(cart, 1), (text) => Buffer.from(text, "latin1")),
    ],
    ["has another maker", () => remade({ operation: "operations/backup-0", shard: "1" })],
    ["is of another shard", () => remade({ shard: "0" })],
  ])("takes over no backup of which a file %s", async (_, spoil) => {
    await spoil();
    await forgetEverything();
    expect((await ask("rebuild.v1.requested", {})).response).toMatchObject({ rebuilt: 2, refused: 1 });
    expect(await collection("carts")).toBeUndefined();
  });

  it.each([
    ["failed", { done: true, error: { code: "CANCELLED" as const, message: "" }, response: {} }],
    ["goes on", { done: false }],
  ])("takes over no backup whose operation %s: what it left is on its way out", async (_, fields) => {
    const { operation = "" } = (await backup(two)) ?? {};
    await change<Operation>(world, operation, { ...fields, deadlineTime: "2100-01-01T00:00:00.000Z" });
    await world.ports.store.commit([{ kind: "remove", path: two }]);
    await world.events.publish({ type: "rebuild.v1.requested", data: {}, attributes: {} });
    for (let round = 0; round < 4; round++) for (const message of world.events.take()) await world.deliver(message);
    expect((await operations()).find(({ verb }) => verb === "rebuild")?.response).toMatchObject({ refused: 1 });
    expect(await backup(two)).toBeUndefined();
  });

  it("takes over a final backup whose operation could not delete the instance", async () => {
    const { operation = "" } = (await backup(two)) ?? {};
    const error = { code: "FAILED_PRECONDITION" as const, message: "the instance was not deleted" };
    await change<Operation>(world, operation, { error, response: { backup: two } });
    await world.ports.store.commit([{ kind: "remove", path: two }]);
    expect((await ask("rebuild.v1.requested", {})).response).toMatchObject({ rebuilt: 1 });
  });

  it("brings back no backup that is erased while it is looked at", async () => {
    await ask("deletion.v1.requested", { backup: two, grace: "0s" });
    const { objects } = world.ports;
    const read = objects.read.bind(objects);
    let isErased = false;
    objects.read = (of, range, signal) => {
      if (of.object === manifestObject(one) && !isErased) {
        isErased = true;
        return (async function* () {
          for (const object of [manifestObject(two), fileObject(two, 0)]) await objects.remove(await stored(object));
          await world.ports.store.commit([{ kind: "remove", path: two }]);
          yield* read(of, range, signal);
        })();
      }
      return read(of, range, signal);
    };
    await world.ports.store.commit([{ kind: "remove", path: one }]);
    await ask("rebuild.v1.requested", {});
    expect([isErased, await backup(two), (await backup(one))?.state]).toEqual([true, undefined, "ACTIVE"]);
    expect((await collection("orders"))?.totalBackupCount).toBe(1);
  });

  it("brings back no collection whose last backup goes while it is looked at", async () => {
    const { objects } = world.ports;
    const list = objects.list.bind(objects);
    objects.list = async function* (...args) {
      yield* list(...args);
      await world.ports.store.commit([cart, collectionName("carts")].map((path) => ({ kind: "remove", path })));
    };
    await ask("rebuild.v1.requested", {});
    expect(await collection("carts")).toBeUndefined();
  });

  it("counts again where a backup is taken while it counts", async () => {
    const { store } = world.ports;
    const query = store.query.bind(store);
    let isTaken = false;
    store.query = async <T>(wanted: Parameters<typeof query>[0]) => {
      const found = await query<T>(wanted);
      if (wanted.collection !== `${collectionName("orders")}/backups` || isTaken) return found;
      isTaken = true;
      const made = await backup(one);
      const name = backupName("orders", "three");
      await store.commit([{ kind: "create", path: name, data: { ...made, name } }]);
      await change<BackupCollection>(world, collectionName("orders"), { totalBackupCount: 3 });
      return found;
    };
    await change<BackupCollection>(world, collectionName("orders"), { totalBackupSizeBytes: 1 });
    expect((await ask("rebuild.v1.requested", {})).error).toBeUndefined();
    const sizes = (await query<Backup>({ collection: `${collectionName("orders")}/backups` })).map(
      ({ data }) => data.totalSizeBytes,
    );
    expect([isTaken, await collection("orders")]).toMatchObject([
      true,
      { totalBackupCount: 3, totalBackupSizeBytes: sizes.reduce((sum, bytes) => sum + bytes, 0) },
    ]);
  });

  it("is asked for again by a person who does not wait, and comes to the same", async () => {
    const before = await catalogue();
    await forgetEverything();
    for (const requestId of ["a", "b"])
      await world.events.publish({ type: "rebuild.v1.requested", data: { requestId }, attributes: {} });
    await world.settle({ isTwice: true });
    expect(await catalogue()).toEqual(before);
  });

  it("begins with no count of its own: only with the manifests", async () => {
    expect((await ask("recount.v1.requested", { page: 0 })).error?.message).toMatch(/belongs to an operation/);
  });

  it.each([{ startOffset: "" }, { page: 0 }, { instance: "orders" }])("is not asked for by %j", async (data) => {
    expect((await ask("rebuild.v1.requested", data)).error?.code).toBe("INVALID_ARGUMENT");
  });
});

/** The manifest with one fact of its first file changed. */
function withFile(fields: object) {
  return (manifest: Record<string, unknown>) => {
    const [first, ...others] = manifest.backupFiles as object[];
    return { ...manifest, backupFiles: [{ ...first, ...fields }, ...others] };
  };
}

/** The cart's second file and a manifest that agrees with it but for its maker's marks. */
async function remade(marks: Record<string, string>): Promise<void> {
  const made = await backup(cart);
  if (made === undefined) throw new Error(`there is no ${cart}`);
  await replace(fileObject(cart, 1), (text) => Buffer.from(text, "latin1"), {
    operation: made.operation,
    shard: "1",
    ...marks,
  });
  const { generation, createTime } = await stored(fileObject(cart, 1));
  const backupFiles = made.backupFiles.map((file, shard) => (shard === 1 ? { ...file, generation, createTime } : file));
  await replace(manifestObject(cart), () => manifestBytes({ ...made, backupFiles }));
}
