import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { ObjectInfo } from "../../shared/pipeline/ports.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { change } from "../pipeline/change.ts";
import { objectsOf } from "../pipeline/objects.ts";
import { registeredPair } from "../pipeline/registered.ts";
import { operationsOf } from "../pipeline/requested.ts";
import { exports, inbox, vault, type World } from "../pipeline/world.ts";

let world: World;
const nightly = backupName("orders", "nightly");
const file = (version = 11): Uint8Array =>
  writeRdb({ magic: "REDIS", rdbVersion: version }, [
    { kind: "record", key: Buffer.from("k"), type: 0, value: encodeString("value"), db: 0 },
  ]);

beforeEach(async () => {
  world = await registeredPair(1, 5);
});

/** Asks, lets the system come to rest, and answers the operation that this began. */
async function ask<T extends EventType>(type: T, data: unknown): Promise<Operation> {
  const before = new Set((await operations()).map(({ name }) => name));
  await world.events.publish({ type, data: data as EventMap[T], attributes: {} });
  return await fresh(before);
}

async function land(object: string, bytes: Uint8Array, bucket = inbox): Promise<Operation[]> {
  return await told(await world.ports.objects.create(bucket, object, once(bytes), {}));
}

/** Tells of an object that has landed; answers the operations that this began. */
async function told({ bucket, object, generation }: ObjectInfo): Promise<Operation[]> {
  const before = new Set((await operations()).map(({ name }) => name));
  const attributes = {
    eventType: "OBJECT_FINALIZE",
    bucketId: bucket,
    objectId: object,
    objectGeneration: generation,
  };
  await world.events.publish({ type: "object.v1.finalized", data: { name: object, bucket }, attributes });
  await world.settle();
  return (await operations()).filter(({ name }) => !before.has(name));
}

async function fresh(before: Set<string>): Promise<Operation> {
  await world.settle();
  const begun = (await operations()).find(
    ({ name, verb }) => !before.has(name) && verb !== "erase" && verb !== "reclaim",
  );
  if (begun === undefined) throw new Error("no operation was begun");
  return begun;
}

const operations = () => operationsOf(world);

const error = (code: string, reason: RegExp) => ({
  done: true,
  error: { code, message: expect.stringMatching(reason) },
});
const sizeOf = (endpoint: string) => world.valkey.servers.get(endpoint)?.shards[0]?.size;

describe("a request for a backup", () => {
  it.each([
    [
      "of an unknown instance",
      { instance: "nobody" },
      "NOT_FOUND",
      /instances\/nobody is not registered; valkeep instances create/,
    ],
    ["with a malformed instance id", { instance: "Orders!" }, "INVALID_ARGUMENT", /malformed instance id/],
    ["with path tricks in the instance id", { instance: "../orders" }, "INVALID_ARGUMENT", /malformed instance id/],
    [
      "with path tricks in the backup id",
      { instance: "orders", backupId: "../../x" },
      "INVALID_ARGUMENT",
      /malformed backup id/,
    ],
    [
      "with a TTL of 0",
      { instance: "orders", ttl: "0d" },
      "INVALID_ARGUMENT",
      /ttl 0d is out of bounds: expected 1d to 36500d/,
    ],
    ["with a TTL of 101 years", { instance: "orders", ttl: "36865d" }, "INVALID_ARGUMENT", /out of bounds/],
    ["with a TTL without a unit", { instance: "orders", ttl: "14" }, "INVALID_ARGUMENT", /malformed duration/],
    ["without an instance", {}, "INVALID_ARGUMENT", /instance/],
  ])("%s is refused and leaves nothing", async (_name, data, code, reason) => {
    expect(await ask("backup.v1.requested", data)).toMatchObject(error(code, reason));
    expect(await world.ports.store.query({ collection: "backups", group: true })).toEqual([]);
    expect(await objectsOf(world, vault)).toEqual([]);
  });

  it("of an id that exists is refused, and the backup stays as it is", async () => {
    await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" });
    const before = await world.ports.store.get(nightly);
    expect(await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" })).toMatchObject(
      error("ALREADY_EXISTS", /nightly exists already/),
    );
    expect(await world.ports.store.get(nightly)).toEqual(before);
  });

  it("while another is taken is refused, and the other one goes on", async () => {
    const names = ["one", "two"];
    for (const backupId of names)
      await world.events.publish({
        type: "backup.v1.requested",
        data: { instance: "orders", backupId },
        attributes: {},
      });
    await world.settle();
    const errors = (await operations()).map(({ error }) => error?.message);
    expect(errors.filter((message) => message === undefined)).toHaveLength(1);
    expect(errors.find((message) => message !== undefined)).toMatch(
      /is being backed up by operations\/backup-.*one backup at a time/,
    );
  });

  it("without a name is called by its UTC date and time and the instance's short uid", async () => {
    await ask("backup.v1.requested", { instance: "orders" });
    const [backup] = await world.ports.store.query<Backup>({ collection: "backups", group: true });
    expect(backup?.data.name).toMatch(/^backupCollections\/orders\/backups\/20260101000000_orders0u$/);
    expect(backup?.data.expireTime).toBe("2125-12-08T00:00:00.000Z");
  });

  it("of an instance where nobody answers fails after ten attempts and leaves no backup", async () => {
    world.valkey.stop("127.0.0.1:7001");
    expect(await ask("backup.v1.requested", { instance: "orders" })).toMatchObject(
      error("UNAVAILABLE", /gave up after 10 attempts: nobody answers at 127.0.0.1:7001/),
    );
    expect(await world.ports.store.query({ collection: "backups", group: true })).toEqual([]);
  });

  it.each([
    ["a damaged file", file().with(17, 0xff)],
    ["a truncated file", file().subarray(0, -4)],
    ["nothing", new Uint8Array(0)],
    ["something else", Buffer.from("-ERR no\r\n")],
  ])("whose source sends %s fails, and leaves neither a backup nor an object", async (_name, bytes) => {
    const source = world.valkey.servers.get("127.0.0.1:7001");
    if (source) source.sends = bytes;
    expect(await ask("backup.v1.requested", { instance: "orders" })).toMatchObject({
      done: true,
      error: { code: "DATA_LOSS" },
    });
    expect(await world.ports.store.query({ collection: "backups", group: true })).toEqual([]);
    expect(await objectsOf(world, vault)).toEqual([]);
    if (source) source.sends = undefined;
    expect(await ask("backup.v1.requested", { instance: "orders" })).toMatchObject({ done: true });
  });
});

describe("a restore", () => {
  beforeEach(async () => void (await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" })));

  it("into a full target is refused and changes nothing", async () => {
    expect(await ask("restore.v1.requested", { instance: "orders", backup: nightly })).toMatchObject(
      error("FAILED_PRECONDITION", /the target holds 5 keys; a restore wants an empty one/),
    );
    expect(sizeOf("127.0.0.1:7001")).toBe(5);
  });

  it.each([
    [
      "of an older version than the file needs",
      { rdbVersion: 0, version: "1.0.0" },
      /the files need RDB version 1, Valkey 1.0.0 reads up to 0/,
    ],
    ["with too little memory", { maxMemoryBytes: 1_000_001 }, /bytes of memory are needed, 1 are free/],
    ["that is a replica", { role: "REPLICA" as const }, /the target is a replica/],
    ["that takes only small records", { maxBulkBytes: 5 }, /the largest record has \d+ bytes, the target takes 5/],
  ])("into a target %s is refused and changes nothing", async (_name, answers, reason) => {
    const target = world.valkey.servers.get("127.0.0.1:7002");
    if (target) target.answers = answers;
    expect(await ask("restore.v1.requested", { instance: "copy", backup: nightly })).toMatchObject(
      error("FAILED_PRECONDITION", reason),
    );
    expect(sizeOf("127.0.0.1:7002")).toBe(0);
  });

  it.each([
    [
      "of a backup that is not there",
      { backup: backupName("orders", "nothing") },
      "NOT_FOUND",
      /there is no backupCollections\/orders\/backups\/nothing/,
    ],
    [
      "of a name that is no backup's",
      { backup: "backupCollections/../x" },
      "INVALID_ARGUMENT",
      /malformed backup name/,
    ],
    [
      "of a name that goes on behind a backup's",
      { backup: `${nightly}/0.rdb` },
      "INVALID_ARGUMENT",
      /malformed backup name/,
    ],
    ["of a name with a way out", { backup: `${nightly}/../nightly` }, "INVALID_ARGUMENT", /malformed backup name/],
    [
      "of an object that is not there",
      { gcsSourceUris: [`gs://${vault}/nothing.rdb`] },
      "NOT_FOUND",
      /there is no gs:/,
    ],
    [
      "of both a backup and a file",
      { backup: nightly, gcsSourceUris: [`gs://${vault}/x.rdb`] },
      "INVALID_ARGUMENT",
      /expected one of backup and gcsSourceUris/,
    ],
    ["of nothing", {}, "INVALID_ARGUMENT", /expected one of/],
  ])("%s is refused", async (_name, data, code, reason) => {
    expect(await ask("restore.v1.requested", { instance: "copy", ...data })).toMatchObject(error(code, reason));
  });

  it.each([
    ["being deleted", { state: "DELETING" as const, purgeTime: "2027-01-01T00:00:00.000Z" }],
    [
      "being erased",
      { state: "DELETING" as const, purgeTime: "2025-01-01T00:00:00.000Z", purgeStartTime: "2025-01-01T00:00:00.000Z" },
    ],
  ])("of a backup that is %s is refused", async (_name, fields) => {
    await change<Backup>(world, nightly, fields);
    expect(await ask("restore.v1.requested", { instance: "copy", backup: nightly })).toMatchObject(
      error("FAILED_PRECONDITION", /it is being (deleted; undelete it first|erased)/),
    );
  });

  it.each([
    ["file", "0.rdb", /0\.rdb is missing/],
    ["manifest", "manifest.json", /has no manifest in gs:\/\/vault: it cannot be restored/],
  ])("of a backup whose %s is gone from the bucket fails with DATA_LOSS and changes nothing", async (_, name, reason) => {
    const found = await world.ports.objects.stat(vault, `${nightly}/${name}`);
    if (found) await world.ports.objects.remove(found);
    expect(await ask("restore.v1.requested", { instance: "copy", backup: nightly })).toMatchObject(
      error("DATA_LOSS", reason),
    );
    expect(sizeOf("127.0.0.1:7002")).toBe(0);
  });

  it("into an instance that is being restored is refused", async () => {
    await world.ports.store.commit([{ kind: "create", path: "operations/restore-1", data: { done: false } }]);
    await change<Instance>(world, "instances/copy", { restoring: "operations/restore-1" });
    await world.events.publish({
      type: "restore.v1.requested",
      data: { instance: "copy", backup: nightly, requestId: "r" },
      attributes: {},
    });
    for (const message of world.events.take()) await world.deliver(message);
    expect((await operations()).find(({ requestId }) => requestId === "r")).toMatchObject(
      error("FAILED_PRECONDITION", /is being restored by operations\/restore-1/),
    );
  });
});

describe("a file in the inbox", () => {
  it("at INSTANCE/NAME.rdb is restored into that instance", async () => {
    expect(await land("copy/some/file.rdb", file())).toMatchObject([
      { verb: "restore", done: true, response: { keys: 1 } },
    ]);
    expect(sizeOf("127.0.0.1:7002")).toBe(1);
  });

  it("whose name ends in / is ignored", async () => {
    expect(await land("copy/", new Uint8Array(0))).toEqual([]);
  });

  it.each([
    "file.rdb",
    "copy/file.txt",
    "copy/../orders/x.rdb",
    "../copy/x.rdb",
    "copy//x.rdb",
    "Copy/x.rdb",
    "copy/.rdb",
    "/copy/x.rdb",
  ])("at %j is refused with an operation that says why", async (object) => {
    expect(await land(object, file())).toMatchObject([error("FAILED_PRECONDITION", /is not restored/)]);
    expect(sizeOf("127.0.0.1:7002")).toBe(0);
  });

  it("of a bucket that is not the inbox is refused", async () => {
    expect(await land("copy/x.rdb", file(), exports)).toMatchObject([
      error("FAILED_PRECONDITION", /gs:\/\/exports\/copy\/x\.rdb is not in the inbox gs:\/\/inbox/),
    ]);
    expect(sizeOf("127.0.0.1:7002")).toBe(0);
  });

  it("that was replaced since is refused: what is there now asks for itself", async () => {
    const { objects } = world.ports;
    const first = await objects.create(inbox, "copy/x.rdb", once(file()), {});
    await objects.remove(first);
    const second = await objects.create(inbox, "copy/x.rdb", once(file()), {});
    expect(await told(first)).toMatchObject([error("FAILED_PRECONDITION", /was replaced since/)]);
    expect(sizeOf("127.0.0.1:7002")).toBe(0);
    expect(await told(second)).toMatchObject([{ done: true, response: { keys: 1 } }]);
  });

  it("for an instance that nobody registered is refused", async () => {
    expect(await land("nobody/x.rdb", file())).toMatchObject([
      error("NOT_FOUND", /instances\/nobody is not registered/),
    ]);
  });

  it.each([
    ["damaged", file().with(12, 0xee)],
    ["truncated", file().subarray(0, -1)],
    ["empty", new Uint8Array(0)],
    ["no RDB file", Buffer.from("hello, world, this is no RDB file at all")],
  ])("that is %s fails with its offset and changes nothing", async (_name, bytes) => {
    const [operation] = await land("copy/x.rdb", bytes);
    expect(operation).toMatchObject({ done: true, error: { offset: expect.any(Number) } });
    expect(["DATA_LOSS", "UNIMPLEMENTED"]).toContain(operation?.error?.code);
    expect(sizeOf("127.0.0.1:7002")).toBe(0);
  });
});

describe("an export", () => {
  beforeEach(async () => void (await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" })));

  it.each([
    ["into the vault", { gcsBucket: vault }],
    ["into the inbox", { gcsBucket: inbox }],
    ["that goes onward into the vault", { gcsBucket: exports, onward: { gcsBucket: vault } }],
  ])("%s is refused before anything is copied", async (_, buckets) => {
    expect(await ask("export.v1.requested", { backup: nightly, ...buckets })).toMatchObject(
      error("FAILED_PRECONDITION", /export to a bucket of your own/),
    );
    expect(await objectsOf(world, exports)).toEqual([]);
  });

  it.each([
    ["of another region", { location: "EUROPE-WEST1", locationType: "region" as const }],
    ["that is multi-regional", { location: "ASIA", locationType: "multi-region" as const }],
  ])("into a bucket %s is refused", async (_name, info) => {
    const { objects } = world.ports;
    const { protection } = await objects.describe(exports);
    objects.describe = async () => ({ ...info, protection });
    expect(await ask("export.v1.requested", { backup: nightly, gcsBucket: exports })).toMatchObject(
      error("FAILED_PRECONDITION", /expected a regional bucket in asia-northeast1/),
    );
    expect(await objectsOf(world, exports)).toEqual([]);
  });

  it("over something else that is there is refused, and that stays", async () => {
    const object = `${nightly}/0.rdb`;
    await world.ports.objects.create(exports, object, once(Buffer.from("mine")), {});
    expect(await ask("export.v1.requested", { backup: nightly, gcsBucket: exports })).toMatchObject(
      error("ALREADY_EXISTS", /nothing is overwritten/),
    );
    expect(world.ports.objects.contents(exports, object)?.toString()).toBe("mine");
  });
});

describe("a deletion", () => {
  beforeEach(async () => void (await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" })));

  it("of a backup that is held is refused and says why it is held", async () => {
    await change<Backup>(world, nightly, {
      hold: { reason: "audit of May", createTime: "2026-01-01T00:00:00.000Z", operation: "operations/hold-1" },
    });
    expect(await ask("deletion.v1.requested", { backup: nightly })).toMatchObject(
      error("FAILED_PRECONDITION", /it is held: audit of May/),
    );
  });

  it("of a backup that a live restore reads is refused", async () => {
    await world.ports.store.commit([{ kind: "create", path: "operations/restore-1", data: { done: false } }]);
    await change<Backup>(world, nightly, { pins: ["operations/restore-1"] });
    await world.events.publish({
      type: "deletion.v1.requested",
      data: { backup: nightly, requestId: "r" },
      attributes: {},
    });
    for (const message of world.events.take()) await world.deliver(message);
    expect((await operations()).find(({ requestId }) => requestId === "r")).toMatchObject(
      error("FAILED_PRECONDITION", /in use by operations\/restore-1/),
    );
  });

  it("is undone within its grace, and not once erasing has begun", async () => {
    await ask("deletion.v1.requested", { backup: nightly, grace: "1h" });
    await ask("undelete.v1.requested", { backup: nightly });
    expect((await world.ports.store.get<Backup>(nightly))?.data.state).toBe("ACTIVE");
    await change<Backup>(world, nightly, {
      state: "DELETING",
      purgeTime: "2025-01-01T00:00:00.000Z",
      purgeStartTime: "2025-01-01T00:00:00.000Z",
    });
    expect(await ask("undelete.v1.requested", { backup: nightly })).toMatchObject(
      error("FAILED_PRECONDITION", /it is being erased since/),
    );
  });

  it("by a sweep never takes the newest verified backup", async () => {
    const expireTime = "2025-01-01T00:00:00.000Z";
    await change<Backup>(world, nightly, { expireTime, reviewTime: expireTime });
    expect(await ask("sweep.v1.requested", {})).toMatchObject({
      done: true,
      response: { expired: 0, erased: 0, deferred: 0 },
    });
    expect((await world.ports.store.get<Backup>(nightly))?.data.state).toBe("ACTIVE");
  });
});

describe("a request for a sweep", () => {
  it.each([
    [
      "that goes on after nothing we know",
      { after: { reviewTime: "2026-01-01T00:00:00.000Z", name: "x/y", round: 1 } },
    ],
    ["that goes on from no time", { after: { reviewTime: "then", name: "backupCollections/orders", round: 1 } }],
    ["with a field too many", { everything: true }],
    ["with a schedule in an unknown time zone", { schedule: { cron: "17 * * * *", timeZone: "Mars/Base" } }],
  ])("%s is refused", async (_name, data) => {
    expect(await ask("sweep.v1.requested", data)).toMatchObject(error("INVALID_ARGUMENT", /sweep.v1.requested: /));
  });
});

describe("an operation past its deadline", () => {
  it("is ended by the relay, and what it held is free again", async () => {
    const { store } = world.ports;
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "nightly" },
      attributes: {},
    });
    for (const message of world.events.take()) await world.deliver(message);
    world.events.take(); // lost, and never redelivered
    const [operation] = await operations();
    await change<Operation>(world, operation?.name ?? "", { deadlineTime: "2025-12-31T00:00:00.000Z" });
    await world.tick();
    expect((await operations()).find(({ verb }) => verb === "backup")).toMatchObject(
      error("DEADLINE_EXCEEDED", /it was at shard.v1.requested/),
    );
    expect(await store.get(nightly)).toBeUndefined();
    expect((await store.get<{ creating?: string }>("backupCollections/orders"))?.data.creating).toBeUndefined();
  });
});

describe("a backup whose file is not in the bucket as it was read", () => {
  it.each([
    ["is gone", undefined],
    ["is another generation", { generation: "7" }],
    ["has another CRC32C", { crc32c: "AAAAAA==" }],
  ])("as it %s fails with DATA_LOSS before its manifest is written", async (_, otherwise) => {
    const { objects } = world.ports;
    const { stat, create } = objects;
    const created: string[] = [];
    objects.create = async (bucket, object, ...rest) => {
      const info = await create(bucket, object, ...rest);
      created.push(object);
      return info;
    };
    objects.stat = async (bucket, object) => {
      const found = await stat(bucket, object);
      if (!created.includes(object) || !object.endsWith("0.rdb")) return found;
      return found && otherwise && { ...found, ...otherwise };
    };
    expect(await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" })).toMatchObject(
      error("DATA_LOSS", /0.rdb is not in the bucket as it was stored/),
    );
    expect(created).toEqual([`${nightly}/0.rdb`]);
    expect(await world.ports.store.get(nightly)).toBeUndefined();
    expect(await objectsOf(world, vault)).toEqual([]);
  });

  it("as it is larger fails with DATA_LOSS", async () => {
    const { objects } = world.ports;
    const { create } = objects;
    objects.create = async (...args) => {
      const info = await create(...args);
      return { ...info, sizeBytes: info.sizeBytes + 1 };
    };
    expect(await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" })).toMatchObject(
      error("DATA_LOSS", /0.rdb has \d+ bytes, \d+ were read/),
    );
  });
});
