import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import { later } from "../../shared/backup/duration.ts";
import { backupName, instanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

const orders = instanceName("orders");
const last = backupName("orders", "last");
const request = { instance: "orders", backupId: "last", backupType: "FINAL", deleteInstance: true } as const;
let world: World;

beforeEach(async () => {
  world = createWorld();
  const source = world.valkey.start("127.0.0.1:7001");
  source.shards[0]?.set(keyName(0, "key"), { type: 0, expireTimeMs: -1, value: encodeString("value") });
  await world.ports.store.commit([{ kind: "create", path: orders, data: instanceOf("orders", "127.0.0.1:7001") }]);
});

const instance = async () => (await world.ports.store.get<Instance>(orders))?.data;
const backup = async () => (await world.ports.store.get<Backup>(last))?.data;

async function asked(data: object): Promise<Operation | undefined> {
  await world.events.publish({ type: "backup.v1.requested", data, attributes: {} });
  await world.settle();
  const found = await world.ports.store.query<Operation>({ collection: "operations" });
  return found.map(({ data }) => data).find(({ verb }) => verb === "backup");
}

async function change(fields: Partial<Instance>): Promise<void> {
  const doc = await world.ports.store.get<Instance>(orders);
  if (doc === undefined) throw new Error(`there is no ${orders}`);
  await world.ports.store.commit([
    { kind: "put", path: orders, data: { ...doc.data, ...fields }, updateTime: doc.updateTime },
  ]);
}

/** Does something to the instance once the manifest is written and before the seal is committed. */
function beforeTheSeal(act: () => Promise<void>): void {
  const { objects } = world.ports;
  const create = objects.create.bind(objects);
  objects.create = async (...args) => {
    const stored = await create(...args);
    if (args[1].endsWith("manifest.json")) await act();
    return stored;
  };
}

const live = { name: "operations/restore-1", verb: "restore", done: false };

describe("a final backup", () => {
  it("takes the instance away and is kept for 100 years", async () => {
    expect((await asked(request))?.error).toBeUndefined();
    expect(await instance()).toBeUndefined();
    const made = await backup();
    expect(made).toMatchObject({ state: "ACTIVE", backupType: "FINAL" });
    expect(made?.expireTime).toBe(later(made?.createTime ?? "", 36_500 * 86_400));
  });

  it("is kept as long as its TTL says", async () => {
    await asked({ ...request, ttl: "30d" });
    const made = await backup();
    expect(made?.expireTime).toBe(later(made?.createTime ?? "", 30 * 86_400));
  });

  it("leaves the instance where nobody asks for its deletion", async () => {
    const { deleteInstance: _, ...rest } = request;
    await asked(rest);
    expect([(await backup())?.backupType, (await instance())?.name]).toEqual(["FINAL", orders]);
  });

  it("leaves the instance, and no trace of itself, where the server does not answer", async () => {
    world.valkey.stop("127.0.0.1:7001");
    expect((await asked(request))?.error?.code).toBe("UNAVAILABLE");
    expect([await backup(), (await instance())?.name]).toEqual([undefined, orders]);
  });

  it.each([
    [{ deletionProtectionEnabled: true }, /is protected from deletion/],
    [{ restoring: live.name }, /is being restored by operations\/restore-1/],
  ])("is refused at once of an instance with %j", async (fields, reason) => {
    await world.ports.store.commit([{ kind: "create", path: live.name, data: live }]);
    await change(fields);
    world.events.publish({ type: "backup.v1.requested", data: request, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    const found = await world.ports.store.query<Operation>({
      collection: "operations",
      where: [["verb", "==", "backup"]],
    });
    expect(found[0]?.data.error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringMatching(reason) });
    expect([await backup(), (await instance())?.name]).toEqual([undefined, orders]);
  });

  it.each([
    ["was protected", { deletionProtectionEnabled: true }, /is protected from deletion/],
    ["was registered anew", { uid: "another" }, /has been registered anew/],
  ])("is ACTIVE and leaves an instance that %s meanwhile, and says so", async (_, fields, reason) => {
    beforeTheSeal(() => change(fields));
    const operation = await asked(request);
    expect(operation).toMatchObject({
      response: { backup: last },
      error: { code: "FAILED_PRECONDITION", message: expect.stringMatching(reason) },
    });
    expect([(await backup())?.state, (await instance())?.name]).toEqual(["ACTIVE", orders]);
    await world.clock.advance(2 * 3_600_000); // a failed backup's objects would be looked for a second time
    await world.settle();
    expect(await world.ports.objects.stat(vault, `${last}/manifest.json`)).toBeDefined();
    expect(world.events.messages.filter(({ type }) => type === "operation.v1.failed")).toEqual([]);
  });

  it("leaves an instance into which a restore has begun meanwhile", async () => {
    beforeTheSeal(async () => {
      await change({ restoring: live.name });
      await world.ports.store.commit([{ kind: "create", path: live.name, data: live }]);
    });
    await world.events.publish({ type: "backup.v1.requested", data: request, attributes: {} });
    for (let round = 0; round < 5; round++) for (const message of world.events.take()) await world.deliver(message);
    expect([(await backup())?.state, (await instance())?.name]).toEqual(["ACTIVE", orders]);
  });

  it("is well where the instance has been deleted meanwhile", async () => {
    beforeTheSeal(() => world.ports.store.commit([{ kind: "remove", path: orders }]));
    expect((await asked(request))?.error).toBeUndefined();
    expect((await backup())?.state).toBe("ACTIVE");
  });

  it.each([
    { deleteInstance: true },
    { deleteInstance: true, backupType: "ON_DEMAND" },
    { deleteInstance: "yes", backupType: "FINAL" },
    { backupType: "LAST" },
  ])("is not asked for by %j", async (fields) => {
    expect((await asked({ instance: "orders", ...fields }))?.error?.code).toBe("INVALID_ARGUMENT");
    expect((await instance())?.name).toBe(orders);
  });
});
