import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import { later, timeOf } from "../../shared/backup/duration.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { backupName, collectionName, fileObject } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import { begin } from "../../shared/pipeline/begin.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { valkeep } from "../cli/terminal.ts";
import { change } from "./change.ts";
import { fill, registered, unscheduled } from "./registered.ts";
import { begun, operationsOf } from "./requested.ts";
import { exports, onward, vault, type World } from "./world.ts";

const day = 86_400;
const orders = collectionName("orders");
const one = backupName("orders", "one");
const two = backupName("orders", "two");
let world: World;

/** Two backups of one instance: the older one lives for a day, the newer one for 14. */
beforeEach(async () => {
  world = await registered(unscheduled());
  await ask("backup.v1.requested", { instance: "orders", backupId: "one", ttl: "1d" });
  await ask("backup.v1.requested", { instance: "orders", backupId: "two", ttl: "14d" });
});

const ask = (type: EventType, data: object) => begun(world, type, data);

/** Delivers this request alone; what it asks for is lost, until `relay` brings it once more. */
async function askAndLose(type: EventType, data: object): Promise<void> {
  await world.events.publish({ type, data, attributes: {} });
  for (const message of world.events.take()) await world.deliver(message);
  world.events.take();
}

/** The same where something waits for a time far away, and the system does not come to rest. */
async function askAndRun(type: EventType, data: object): Promise<void> {
  await world.events.publish({ type, data, attributes: {} });
  await run();
}

/** Delivers for an hour and a half, which meets the second look at what a failed Operation left. */
async function run(): Promise<void> {
  for (let minute = 0; minute < 90; minute++) {
    for (let taken = world.events.take(); taken.length > 0; taken = world.events.take())
      for (const message of taken) await world.deliver(message);
    await world.clock.advance(60_000);
    await world.tick();
  }
}

const operations = () => operationsOf(world);
const backup = async (name: string) => (await world.ports.store.get<Backup>(name))?.data;
const collection = async () => (await world.ports.store.get<BackupCollection>(orders))?.data;
const now = (): string => timeOf(world.clock.now());
const pass = (days: number) => world.clock.advance(days * day * 1000);

async function remove(select: (path: string) => boolean): Promise<void> {
  const paths = Object.keys(world.ports.store.all()).filter(select);
  await world.ports.store.commit(paths.map((path) => ({ kind: "remove", path })));
}

describe("what a sweep decided, and has not been done yet, is not done", () => {
  beforeEach(async () => {
    await pass(2);
    await askAndLose("sweep.v1.requested", {});
  });

  it("where the backup's expiry was moved meanwhile", async () => {
    await ask("expiry.v1.requested", { backup: one, expireTime: later(now(), 90 * day) });
    expect((await backup(one))?.state).toBe("ACTIVE");
  });

  it("where it was deleted and undeleted meanwhile", async () => {
    await askAndLose("deletion.v1.requested", { backup: one });
    await ask("undelete.v1.requested", { backup: one });
    expect((await backup(one))?.state).toBe("ACTIVE");
  });

  it("where somebody has deleted the newer one, so that it is the newest verified one by now", async () => {
    await ask("deletion.v1.requested", { backup: two });
    expect([(await backup(two))?.state, (await backup(one))?.state]).toEqual(["DELETING", "ACTIVE"]);
  });

  it("where the collection has another policy by now, which keeps it", async () => {
    await valkeep("collections update orders --keep-last=2", { ports: world.ports });
    await world.settle();
    expect((await backup(one))?.state).toBe("ACTIVE");
  });

  it("where somebody deletes the newer one in the midst of it", async () => {
    const { store } = world.ports;
    const { commit } = store;
    let isMet = false;
    store.commit = async (writes) => {
      const isHere = !isMet && writes.some(({ path, ...write }) => path === one && write.kind === "put");
      isMet ||= isHere;
      if (isHere) await askAndLose("deletion.v1.requested", { backup: two });
      await commit(writes);
    };
    await world.settle();
    expect([isMet, (await backup(two))?.state, (await backup(one))?.state]).toEqual([true, "DELETING", "ACTIVE"]);
  });

  it("but is done otherwise, however late", async () => {
    await world.clock.advance(3 * 3_600_000);
    await world.settle();
    expect((await backup(one))?.state).toBe("DELETING");
  });
});

it("a sweep decides again what another one was kept from doing", async () => {
  await ask("backup.v1.requested", { instance: "orders", backupId: "three", ttl: "14d" });
  await pass(2);
  await askAndLose("sweep.v1.requested", {});
  await ask("deletion.v1.requested", { backup: two });
  expect((await backup(one))?.state).toBe("ACTIVE");
  await ask("sweep.v1.requested", {});
  expect((await backup(one))?.state).toBe("DELETING");
});

it("a person's deletion in the midst of a sweep leaves what is then the newest verified one alone", async () => {
  await pass(2);
  const { store } = world.ports;
  const { query } = store;
  let isMet = false;
  store.query = async (of) => {
    const found = await query<never>(of);
    if (of.collection !== `${orders}/backups` || isMet) return found;
    isMet = true;
    await world.events.publish({ type: "deletion.v1.requested", data: { backup: two }, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    return found;
  };
  await ask("sweep.v1.requested", {});
  expect([isMet, (await backup(two))?.state, (await backup(one))?.state]).toEqual([true, "DELETING", "ACTIVE"]);
});

it("a person may delete the last backup that holds keys; the one before it stays, though a sweep had decided otherwise", async () => {
  const take = (backupId: string, ttl: string) => ask("backup.v1.requested", { instance: "orders", backupId, ttl });
  const [three, four] = [backupName("orders", "three"), backupName("orders", "four")];
  fill(world.valkey.start("127.0.0.1:7001"), 3);
  await take("three", "1d");
  await take("four", "14d");
  world.valkey.start("127.0.0.1:7001");
  await take("five", "14d");
  await pass(2);
  await askAndLose("sweep.v1.requested", {});
  expect((await ask("deletion.v1.requested", { backup: four })).error).toBeUndefined();
  await ask("sweep.v1.requested", {});
  expect([(await backup(three))?.state, (await backup(one))?.state]).toEqual(["ACTIVE", "DELETING"]);
  await ask("undelete.v1.requested", { backup: four });
  await ask("sweep.v1.requested", {});
  expect((await backup(three))?.state).toBe("DELETING");
});

it("a held backup of which a file is gone can be released, and so deleted", async () => {
  await ask("hold.v1.requested", { backup: one, reason: "audit" });
  const file = await world.ports.objects.stat(vault, fileObject(one, 0));
  if (file === undefined) throw new Error("there is no file");
  await world.ports.objects.setHold(file, false);
  await world.ports.objects.remove(file);
  expect((await ask("release.v1.requested", { backup: one })).error).toBeUndefined();
  expect((await ask("deletion.v1.requested", { backup: one })).error).toBeUndefined();
});

it("a backup that a rebuild took over is not erased as what its failed Operation left", async () => {
  world.ports.objects.retain(vault, 120 * day);
  const { store } = world.ports;
  const { commit } = store;
  // The seal has written the manifest, and may not commit.
  store.commit = async (writes) => {
    if (writes.some(({ path }) => path.endsWith("backup.v1.created")))
      throw new StatusError("PERMISSION_DENIED", "not for now");
    await commit(writes);
  };
  const three = backupName("orders", "three");
  await askAndRun("backup.v1.requested", { instance: "orders", backupId: "three", ttl: "365d" });
  store.commit = commit;
  expect(await backup(three)).toBeUndefined();
  await pass(91);
  await askAndRun("sweep.v1.requested", {}); // forgets the failed Operation
  await askAndRun("rebuild.v1.requested", {});
  expect((await backup(three))?.state).toBe("ACTIVE");
  await pass(29);
  world.ports.objects.retain(vault, 0);
  await run();
  expect((await backup(three))?.state).toBe("ACTIVE");
  expect(await world.ports.objects.stat(vault, fileObject(three, 0))).toBeDefined();
});

it("a collection that is deleted before a rebuild has counted it stays until its last backup is erased", async () => {
  await remove(() => true);
  await askAndLose("rebuild.v1.requested", {});
  await ask("dissolution.v1.requested", { collection: orders, confirm: "delete" });
  expect(await collection()).toMatchObject({ deleteTime: expect.any(String) });
  await ask("undelete.v1.requested", { backup: one });
  expect(await collection()).not.toHaveProperty("deleteTime");
});

it("an Operation of many Tasks is forgotten in batches that Firestore takes", async () => {
  const tasks = Array.from({ length: 1_200 }, (_, n) => `operations/reclaim-1/tasks/orphans.v1.requested:${n}`);
  const old = { name: "operations/reclaim-1", verb: "reclaim", done: true, endTime: later(now(), -100 * day) };
  await world.ports.store.commit([
    { kind: "create", path: old.name, data: old },
    ...tasks.map((path) => ({ kind: "create" as const, path, data: { done: true } })),
  ]);
  const { store } = world.ports;
  const { commit } = store;
  let most = 0;
  store.commit = async (writes) => {
    most = Math.max(most, writes.length);
    await commit(writes);
  };
  await ask("sweep.v1.requested", {});
  expect(await store.get(old.name)).toBeUndefined();
  expect(most).toBeLessThanOrEqual(500);
});

it("sweeps go on, one after the other, with what a narrower policy lets go of a large collection", async () => {
  const template = await backup(one);
  if (template === undefined) throw new Error("there is no backup");
  const many = Array.from({ length: 300 }, (_, n) => {
    const createTime = later(template.createTime, -n - 1);
    return { ...template, name: backupName("orders", `b${String(999 - n)}`), createTime };
  });
  await world.ports.store.commit(many.map((data) => ({ kind: "create", path: data.name, data })));
  await valkeep("collections update orders --keep-last=400", { ports: world.ports });
  await pass(2);
  for (let n = 0; n < 12; n++) await ask("sweep.v1.requested", {});
  await valkeep("collections update orders --keep-last=1", { ports: world.ports });
  const living: number[] = [];
  for (let n = 0; n < 3; n++) {
    await ask("sweep.v1.requested", {});
    const all = await world.ports.store.query<Backup>({ collection: `${orders}/backups` });
    living.push(all.filter(({ data }) => data.state === "ACTIVE").length);
  }
  expect(living).toEqual([262, 222, 182]);
});

it("a hold and a release that meet leave either both the backup and its objects held, or neither", async () => {
  const { objects } = world.ports;
  const { setHold } = objects;
  let isMet = false;
  objects.setHold = async (of, isHeld) => {
    if (!isMet) {
      isMet = true;
      await askAndLose("release.v1.requested", { backup: one });
    }
    await setHold(of, isHeld);
  };
  await world.events.publish({ type: "hold.v1.requested", data: { backup: one, reason: "audit" }, attributes: {} });
  await world.settle();
  const isHeld = (await backup(one))?.hold !== undefined;
  for await (const found of objects.list(vault, `${one}/`)) expect(found.isHeld ?? false).toBe(isHeld);
  expect(isMet).toBe(true);
});

it("a second release that comes late does not take away the hold that was put there since", async () => {
  const { objects } = world.ports;
  const { setHold } = objects;
  await ask("hold.v1.requested", { backup: one, reason: "audit" });
  let isMet = false;
  objects.setHold = async (of, isHeld) => {
    if (!isMet) {
      isMet = true;
      await askAndLose("release.v1.requested", { backup: one });
      await askAndLose("hold.v1.requested", { backup: one, reason: "another audit" });
    }
    await setHold(of, isHeld);
  };
  await world.events.publish({ type: "release.v1.requested", data: { backup: one }, attributes: {} });
  await world.settle();
  const isHeld = (await backup(one))?.hold !== undefined;
  for await (const found of objects.list(vault, `${one}/`)) expect(found.isHeld ?? false).toBe(isHeld);
  const ended = await operations();
  expect(ended.filter(({ verb, error }) => verb === "hold" && error === undefined).length).toBe(isHeld ? 2 : 1);
});

it("a backup is erased from the bucket that holds it, though the vault is another one by now", async () => {
  const { objects, settings } = world.ports;
  Object.assign(settings, { vaultBucket: exports });
  await ask("deletion.v1.requested", { backup: one, grace: "0s" });
  await ask("sweep.v1.requested", {});
  expect(await backup(one)).toBeUndefined();
  for await (const { object } of objects.list(vault, `${one}/`)) throw new Error(`${object} is left`);
});

it("a backup goes though the bucket that held it, once the vault, is gone; while the vault is not there it stays", async () => {
  const { settings } = world.ports;
  await ask("deletion.v1.requested", { backup: one, grace: "0s" });
  Reflect.deleteProperty(world.buckets, vault);
  await askAndRun("sweep.v1.requested", {});
  expect((await backup(one))?.state).toBe("DELETING");
  Object.assign(settings, { vaultBucket: exports });
  await askAndRun("sweep.v1.requested", {});
  expect(await backup(one)).toBeUndefined();
});

it("what a dead function's stream wrote after its backup had failed goes an hour later", async () => {
  await askAndLose("backup.v1.requested", { instance: "orders", backupId: "three" });
  const operation = (await operations()).find(({ verb, done }) => verb === "backup" && !done)?.name ?? "";
  await endOperation(world.ports, operation, new StatusError("CANCELLED", "by hand"), true);
  for (const message of world.events.take()) await world.deliver(message);
  const late = fileObject(backupName("orders", "three"), 0);
  await world.ports.objects.create(vault, late, once(Buffer.from("late")), { operation, shard: "0" });
  await run();
  expect(await world.ports.objects.stat(vault, late)).toBeUndefined();
});

it("of two who read a backup the first to end leaves it pinned by the other", async () => {
  await askAndLose("export.v1.requested", { backup: one, gcsBucket: exports, onward: { gcsBucket: onward } });
  const [other] = await operationsOf(world, "export");
  await askAndLose("export.v1.requested", { backup: one, gcsBucket: exports });
  expect((await operationsOf(world, "export")).map(({ done }) => done).sort()).toEqual([false, true]);
  expect((await backup(one))?.pins).toEqual([other?.name]);
});

it("who has lost a lock with the instance that was registered anew does not take it from the next", async () => {
  await askAndLose("restore.v1.requested", { instance: "orders", backup: one });
  const [mine] = await operationsOf(world, "restore");
  await change<Instance>(world, "instances/orders", { restoring: "operations/restore-other" });
  await endOperation(world.ports, mine?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
  const instance = await world.ports.store.get<Instance>("instances/orders");
  expect(instance?.data.restoring).toBe("operations/restore-other");
});

it("a tombstone that somebody reads is not erased, though its grace is over", async () => {
  await world.ports.store.commit([{ kind: "create", path: "operations/restore-1", data: { done: false } }]);
  const purgeTime = "2025-01-01T00:00:00.000Z";
  await change<Backup>(world, one, { state: "DELETING", purgeTime, pins: ["operations/restore-1"] });
  await begin(world.ports, "erase-1", "erasure.v1.requested", { backup: one });
  for (const message of world.events.take()) await world.deliver(message);
  expect((await operationsOf(world, "erase"))[0]?.error?.message).toMatch(/in use by operations\/restore-1/);
  expect(await world.ports.objects.stat(vault, fileObject(one, 0))).toBeDefined();
});
