import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { backupName, collectionName, instanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { change } from "./change.ts";
import { registered, unscheduled } from "./registered.ts";
import { begun, operationsOf } from "./requested.ts";
import { instanceOf, vault, type World } from "./world.ts";

const orders = collectionName("orders");
const confirmed = { collection: orders, confirm: "delete" };
let world: World;

/** Two backups of an instance whose schedule is off. */
beforeEach(async () => {
  world = await registered(unscheduled());
  for (const backupId of ["one", "two"]) await ask("backup.v1.requested", { instance: "orders", backupId });
});

const ask = (type: EventType, data: object) => begun(world, type, data);
const operations = () => operationsOf(world);
const collection = async () => (await world.ports.store.get<BackupCollection>(orders))?.data;
const states = async () =>
  (await world.ports.store.query<Backup>({ collection: `${orders}/backups` })).map(({ data }) => data.state);

/** Copies of a backup's document under other ids, as if each had been taken. */
async function multiply(count: number): Promise<void> {
  const one = (await world.ports.store.get<Backup>(backupName("orders", "one")))?.data;
  const names = Array.from({ length: count }, (_, n) => backupName("orders", `copy-${String(n).padStart(4, "0")}`));
  await world.ports.store.commit(names.map((name) => ({ kind: "create", path: name, data: { ...one, name } })));
  await change<BackupCollection>(world, orders, { totalBackupCount: count + 2 });
}

const refusal = (reason: RegExp) => ({ code: "FAILED_PRECONDITION", message: expect.stringMatching(reason) });

describe("the deletion of a collection", () => {
  it("puts a tombstone on every backup and marks the collection, which goes with the last of them", async () => {
    expect((await ask("dissolution.v1.requested", confirmed)).response).toEqual({
      collection: orders,
      deleted: 2,
      kept: 0,
    });
    expect([await states(), (await collection())?.deleteTime]).toEqual([
      ["DELETING", "DELETING"],
      expect.stringMatching(/^2026-/),
    ]);
    await ask("sweep.v1.requested", {});
    expect(await states()).toHaveLength(2);
    await world.clock.advance(86_400_000);
    await ask("sweep.v1.requested", {});
    expect([await states(), await collection()]).toEqual([[], undefined]);
    expect(world.events.messages.filter(({ type }) => type === "collection.v1.deleted")).toHaveLength(1);
    for await (const { object } of world.ports.objects.list(vault, "")) throw new Error(`${object} is left`);
  });

  it("reaches every backup where there are more than one commit holds", async () => {
    await multiply(250);
    expect((await ask("dissolution.v1.requested", confirmed)).response).toMatchObject({ deleted: 252 });
    expect(new Set(await states())).toEqual(new Set(["DELETING"]));
    expect(world.events.messages.filter(({ type }) => type === "backup.v1.expired")).toHaveLength(252);
  });

  it("takes the newest verified backup and goes below any minimum: it was asked for", async () => {
    await change<BackupCollection>(world, orders, { retentionPolicy: { minimumRedundancy: 2, keepLast: 2 } });
    await ask("dissolution.v1.requested", { ...confirmed, grace: "0s" });
    await ask("sweep.v1.requested", {});
    expect(await collection()).toBeUndefined();
  });

  it("of an empty collection wants no confirmation and leaves nothing", async () => {
    for (const id of ["one", "two"])
      await ask("deletion.v1.requested", { backup: backupName("orders", id), grace: "0s" });
    await ask("sweep.v1.requested", {});
    expect((await collection())?.totalBackupCount).toBe(0);
    expect((await ask("dissolution.v1.requested", { collection: orders })).error).toBeUndefined();
    expect(await collection()).toBeUndefined();
  });

  it("without the word delete is refused while there is a backup", async () => {
    expect((await ask("dissolution.v1.requested", { collection: orders })).error).toEqual(refusal(/holds 2 backups/));
    expect(await states()).toEqual(["ACTIVE", "ACTIVE"]);
  });

  it("touches nothing where one backup is held, even on the last page", async () => {
    await multiply(150);
    await ask("hold.v1.requested", { backup: backupName("orders", "two"), reason: "audit" });
    expect((await ask("dissolution.v1.requested", confirmed)).error).toEqual(
      refusal(/1 of its 152 .*two is held: audit/),
    );
    expect(new Set(await states())).toEqual(new Set(["ACTIVE"]));
    expect(await collection()).not.toHaveProperty("deleting");
  });

  it("touches nothing where somebody reads a backup, and minds no pin of who has ended", async () => {
    const pin = { name: "operations/restore-1", verb: "restore", done: false };
    await world.ports.store.commit([{ kind: "create", path: pin.name, data: pin }]);
    await change<Backup>(world, backupName("orders", "one"), { pins: [pin.name] });
    await world.events.publish({ type: "dissolution.v1.requested", data: confirmed, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    const refused = (await operations()).find(({ verb }) => verb === "dissolve");
    expect(refused?.error).toEqual(refusal(/one is in use by operations\/restore-1/));
    await change<Operation>(world, pin.name, { done: true });
    expect((await ask("dissolution.v1.requested", confirmed)).response).toMatchObject({ deleted: 2 });
  });

  it("is refused while the schedule of the instance would take the next backup, with advice", async () => {
    const { automatedBackupConfig } = instanceOf("orders", "");
    await change<Instance>(world, instanceName("orders"), { automatedBackupConfig });
    expect((await ask("dissolution.v1.requested", confirmed)).error).toEqual(
      refusal(/--automated-backup-config-mode=disabled/),
    );
    expect(await states()).toEqual(["ACTIVE", "ACTIVE"]);
  });

  it("is not refused for a schedule whose backups are kept for no time", async () => {
    const automatedBackupConfig = { ...instanceOf("orders", "").automatedBackupConfig, retentionSeconds: 0 };
    await change<Instance>(world, instanceName("orders"), { automatedBackupConfig });
    expect((await ask("dissolution.v1.requested", confirmed)).response).toMatchObject({ deleted: 2 });
  });

  it.each<[string, Partial<Backup>]>([
    ["held", { hold: { reason: "audit", createTime: "", operation: "" } }],
    ["put to use", { pins: ["operations/restore-1"] }],
  ])("leaves what was %s meanwhile, and then the collection too", async (_, fields) => {
    await world.ports.store.commit([{ kind: "create", path: "operations/restore-1", data: { done: false } }]);
    await world.events.publish({ type: "dissolution.v1.requested", data: confirmed, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    await change<Backup>(world, backupName("orders", "two"), fields);
    for (const message of world.events.take()) await world.deliver(message);
    const found = (await operations()).find(({ verb }) => verb === "dissolve");
    expect(found).toMatchObject({ response: { deleted: 1, kept: 1 }, error: refusal(/1 backups .* stay/) });
    expect([await states(), await collection()]).toEqual([
      ["DELETING", "ACTIVE"],
      expect.not.objectContaining({ deleteTime: expect.anything() }),
    ]);
  });

  it("lets no backup be taken or undeleted while it is under way", async () => {
    await change<BackupCollection>(world, orders, { deleting: "operations/dissolve-1" });
    const live = { name: "operations/dissolve-1", verb: "dissolve", done: false };
    await ask("deletion.v1.requested", { backup: backupName("orders", "one") });
    await world.ports.store.commit([{ kind: "create", path: live.name, data: live }]);
    for (const [type, data] of [
      ["backup.v1.requested", { instance: "orders", backupId: "three" }],
      ["undelete.v1.requested", { backup: backupName("orders", "one") }],
      ["dissolution.v1.requested", confirmed],
    ] as const) {
      await world.events.publish({ type, data, attributes: {} });
      for (const message of world.events.take()) await world.deliver(message);
    }
    const refused = (await operations()).filter(({ error }) => /is being deleted by/.test(error?.message ?? ""));
    expect(refused.map(({ verb }) => verb).sort()).toEqual(["backup", "dissolve", "undelete"]);
  });

  it.each([
    ["undeleting one backup", "undelete.v1.requested", { backup: backupName("orders", "one") }],
    ["taking another backup", "backup.v1.requested", { instance: "orders", backupId: "three" }],
  ] as const)("is taken back by %s", async (_, type, data) => {
    await ask("dissolution.v1.requested", { ...confirmed, grace: "1h" });
    expect((await ask(type, data)).error).toBeUndefined();
    expect(await collection()).not.toHaveProperty("deleteTime");
    await world.clock.advance(2 * 3_600_000);
    await ask("sweep.v1.requested", {});
    expect([await states(), (await collection())?.totalBackupCount]).toEqual([["ACTIVE"], 1]);
  });

  it("is asked for two collections under one requestId", async () => {
    await change<BackupCollection>(world, orders, {});
    const data = { ...(await collection()), name: collectionName("other"), totalBackupCount: 0 };
    await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    await ask("dissolution.v1.requested", { ...confirmed, requestId: "same" });
    await ask("dissolution.v1.requested", { collection: data.name, requestId: "same" });
    expect(await world.ports.store.get(data.name)).toBeUndefined();
  });

  it("begins with no tombstone: only with the look at every backup", async () => {
    const { error } = await ask("clearance.v1.requested", { collection: orders, page: 0 });
    expect(error?.message).toMatch(/belongs to an operation/);
    expect(await states()).toEqual(["ACTIVE", "ACTIVE"]);
  });

  it.each([
    [{ collection: "backupCollections/../orders" }, "INVALID_ARGUMENT"],
    [{ collection: "orders" }, "INVALID_ARGUMENT"],
    [{ ...confirmed, confirm: "yes" }, "INVALID_ARGUMENT"],
    [{ ...confirmed, grace: "4000d" }, "INVALID_ARGUMENT"],
    [{ collection: collectionName("nobody") }, "NOT_FOUND"],
  ])("is not asked for by %j", async (data, code) => {
    expect((await ask("dissolution.v1.requested", data)).error?.code).toBe(code);
    expect(await states()).toEqual(["ACTIVE", "ACTIVE"]);
  });
});
