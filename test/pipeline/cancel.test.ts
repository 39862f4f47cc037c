import { describe, expect, it } from "vitest";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import { backupName, collectionName } from "../../shared/backup/name.ts";
import type { Operation, Verb } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { change } from "./change.ts";
import { objectsOf } from "./objects.ts";
import { registeredPair } from "./registered.ts";
import { exports, vault, type World } from "./world.ts";

const nightly = backupName("orders", "nightly");

/** Cancels the operation of this verb right before, or right after, the n-th call of a port. Answers whether there was one. */
function cancelAt(world: World, verb: Verb, at: number, when: "before" | "after"): () => boolean {
  const { store } = world.ports;
  const plain: Ports = { ...world.ports, store: { ...store } };
  let calls = 0;
  let isMet = false;
  const cancel = async (): Promise<void> => {
    isMet = true;
    for (const { path } of await plain.store.query<Operation>({
      collection: "operations",
      where: [["verb", "==", verb]],
    }))
      await endOperation(plain, path, new StatusError("CANCELLED", "by hand"), true);
  };
  const patch = (port: object, names: string[]): void => {
    const methods = port as Record<string, (...args: unknown[]) => Promise<unknown>>;
    for (const name of names) {
      const method = methods[name]?.bind(port);
      if (method === undefined) throw new Error(name);
      methods[name] = async (...args) => {
        const isHere = calls++ === at;
        if (isHere && when === "before") await cancel();
        const result = await method(...args);
        if (isHere && when === "after") await cancel();
        return result;
      };
    }
  };
  patch(store, ["get", "getAll", "commit"]);
  patch(world.ports.objects, ["stat", "create", "copy", "remove"]);
  patch(world.ports.valkey, ["describe", "shardCount", "load"]);
  return () => isMet;
}

/** Puts a maintenance window around the present, which is a Thursday's first minute. */
async function putOff(world: World): Promise<void> {
  const weeklyMaintenanceWindow = [
    { day: "WEDNESDAY" as const, startTime: { hours: 23, minutes: 0 }, durationSeconds: 3660 },
  ];
  const maintenancePolicy = { weeklyMaintenanceWindow, timeZone: "Etc/UTC" };
  await change<Instance>(world, "instances/orders", { maintenancePolicy });
}

async function expectFree(world: World): Promise<void> {
  await world.clock.advance(2 * 3600_000);
  await world.tick();
  await world.settle();
  const { store } = world.ports;
  expect((await store.query<Operation>({ collection: "operations", where: [["done", "==", false]] })).length).toBe(0);
  for (const collection of ["outbox", "endpoints"]) expect(await store.query({ collection })).toEqual([]);
  expect((await store.get<BackupCollection>(collectionName("orders")))?.data.creating).toBeUndefined();
  expect((await store.get<Instance>("instances/copy"))?.data.restoring).toBeUndefined();
  for (const { data } of await store.query<Backup>({ collection: "backups", group: true }))
    expect(data.pins).toEqual([]);
}

describe.each(["before", "after"] as const)("cancelled right %s any call", (when) => {
  it("a backup is there whole, or nothing of it is", async () => {
    for (let at = 0; ; at++) {
      const world = await registeredPair(2, 4);
      const isMet = cancelAt(world, "backup", at, when);
      await world.events.publish({
        type: "backup.v1.requested",
        data: { instance: "orders", backupId: "nightly", requestId: "r" },
        attributes: {},
      });
      await world.settle();
      await expectFree(world);
      const backup = (await world.ports.store.get<Backup>(nightly))?.data;
      const files = backup === undefined ? [] : ["0.rdb", "1.rdb", "manifest.json"].map((file) => `${nightly}/${file}`);
      expect({ at, objects: await objectsOf(world, vault), state: backup?.state }).toEqual({
        at,
        objects: files,
        state: backup && "ACTIVE",
      });
      if (!isMet()) break;
    }
  });

  it("a backup that a window puts off is there whole, or nothing of it is", async () => {
    for (let at = 0; ; at++) {
      const world = await registeredPair(2, 4);
      await putOff(world);
      const isMet = cancelAt(world, "backup", at, when);
      const data = { instance: "orders", backupId: "nightly", backupType: "AUTOMATED" as const, requestId: "r" };
      await world.events.publish({ type: "backup.v1.requested", data, attributes: {} });
      await world.settle();
      await expectFree(world);
      const backup = (await world.ports.store.get<Backup>(nightly))?.data;
      expect({ at, count: (await objectsOf(world, vault)).length, state: backup?.state }).toEqual({
        at,
        count: backup === undefined ? 0 : 3,
        state: backup && "ACTIVE",
      });
      if (!isMet()) break;
    }
  });

  it.each(["restore", "export"] as const)("the %s gives back what it held", async (verb) => {
    for (let at = 0; ; at++) {
      const world = await registeredPair(2, 4);
      await world.events.publish({
        type: "backup.v1.requested",
        data: { instance: "orders", backupId: "nightly", requestId: "r" },
        attributes: {},
      });
      await world.settle();
      const isMet = cancelAt(world, verb, at, when);
      if (verb === "restore")
        await world.events.publish({
          type: "restore.v1.requested",
          data: { instance: "copy", backup: nightly, allowShrink: true, requestId: "r" },
          attributes: {},
        });
      else
        await world.events.publish({
          type: "export.v1.requested",
          data: { backup: nightly, gcsBucket: exports, requestId: "r" },
          attributes: {},
        });
      await world.settle();
      await expectFree(world);
      expect((await world.ports.store.get<Backup>(nightly))?.data.state).toBe("ACTIVE");
      if (!isMet()) break;
    }
  });
});
