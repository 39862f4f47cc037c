import { beforeEach, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { backupName, fileObject, manifestObject } from "../../shared/backup/name.ts";
import type { Operation, Verb } from "../../shared/backup/operation.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { objectsOf } from "./objects.ts";
import { registered } from "./registered.ts";
import { operationsOf, requested } from "./requested.ts";
import { vault, type World } from "./world.ts";

const one = backupName("orders", "one");
const gone = backupName("orders", "gone");
const day = 86_400_000;
const marks = { operation: "operations/backup-00000000", shard: "0" };
let world: World;

beforeEach(async () => {
  world = await registered();
  await ask("backup.v1.requested", { instance: "orders", backupId: "one" });
});

const ask = (type: EventType, data: object) => requested(world, type, data);

/** Lets a week pass and has orphans looked for. */
async function reclaim(): Promise<Operation["response"]> {
  await world.clock.advance(7 * day + 1);
  await ask("orphans.v1.requested", {});
  const found = (await operations("reclaim")).toSorted((a, b) => (a.createTime < b.createTime ? -1 : 1));
  expect(found.at(-1)?.error).toBeUndefined();
  return found.at(-1)?.response;
}

const operations = (verb: Verb) => operationsOf(world, verb);

const put = (object: string, metadata: Record<string, string> = marks) =>
  world.ports.objects.create(vault, object, once(Buffer.from("x")), metadata);

const names = () => objectsOf(world, vault);

const own = [fileObject(one, 0), manifestObject(one)];

describe("what lies in the vault of no backup", () => {
  it("is erased once it is a week old", async () => {
    for (let shard = 0; shard < 3; shard++) await put(fileObject(gone, shard));
    await ask("orphans.v1.requested", {});
    expect(await names()).toHaveLength(5);
    expect(await reclaim()).toEqual({ erased: 3, blocked: 0, unlisted: 0 });
    expect(await names()).toEqual(own);
  });

  it("is erased beside a living backup of the same name", async () => {
    await put(fileObject(one, 1));
    expect(await reclaim()).toMatchObject({ erased: 1 });
    expect(await names()).toEqual(own);
  });

  it("is erased where there is more of it than one message looks at", async () => {
    for (let n = 0; n < 1_100; n++) await put(fileObject(backupName("orders", `gone-${n}`), 0));
    expect(await reclaim()).toMatchObject({ erased: 1_100 });
    expect(await names()).toEqual(own);
  });

  it("is looked for by the first sweep of each week", async () => {
    await put(fileObject(gone, 0));
    for (let n = 0; n < 20; n++) {
      await ask("sweep.v1.requested", {});
      await world.clock.advance(day);
    }
    expect(await operations("reclaim")).toHaveLength(4); // the Thursday that it began, three Mondays
    expect(await names()).toEqual(own);
  });

  it.each([
    ["an object without our marks", fileObject(gone, 0), {}],
    ["an object whose marks name no operation", fileObject(gone, 0), { operation: "somebody" }],
    ["another name in a backup's place", `${gone}/readme.txt`, marks],
    ["a shard that nobody numbers so", `${gone}/00.rdb`, marks],
    ["an object outside the collections", "terraform/state.json", marks],
    ["a manifest", manifestObject(gone), marks],
  ])("is not %s", async (_, object, metadata) => {
    await put(object, metadata);
    expect(await reclaim()).toMatchObject({ erased: 0 });
    expect(await names()).toContain(object);
  });

  it("is not what a live operation made, however old", async () => {
    const live = { name: marks.operation, verb: "backup", done: false, deadlineTime: "2100-01-01T00:00:00.000Z" };
    await world.ports.store.commit([{ kind: "create", path: live.name, data: live }]);
    await put(fileObject(gone, 0));
    await world.clock.advance(8 * day);
    await world.events.publish({ type: "orphans.v1.requested", data: {}, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    expect((await operations("reclaim"))[0]?.response).toMatchObject({ erased: 0 });
    expect(await names()).toContain(fileObject(gone, 0));
  });

  it("is not what is held", async () => {
    await world.ports.objects.setHold(await put(fileObject(gone, 0)), true);
    await put(fileObject(gone, 1));
    world.ports.objects.hold(vault, fileObject(gone, 1), "a retention policy");
    expect(await reclaim()).toEqual({ erased: 0, blocked: 2, unlisted: 0 });
    expect(await names()).toHaveLength(4);
  });

  it("is nothing of a backup that Firestore has lost: that is told, and can be rebuilt", async () => {
    const paths = Object.keys(world.ports.store.all());
    await world.ports.store.commit(paths.map((path) => ({ kind: "remove", path })));
    await put(fileObject(one, 1));
    expect(await reclaim()).toEqual({ erased: 0, blocked: 0, unlisted: 3 });
    expect(await names()).toHaveLength(3);
    await ask("rebuild.v1.requested", {});
    expect((await world.ports.store.get<Backup>(one))?.data.state).toBe("ACTIVE");
  });

  it("is erased once where every message comes twice", async () => {
    await put(fileObject(gone, 0));
    await world.clock.advance(8 * day);
    await world.events.publish({ type: "orphans.v1.requested", data: { requestId: "r1" }, attributes: {} });
    await world.settle({ isTwice: true });
    expect((await operations("reclaim")).map(({ error }) => error)).toEqual([undefined]);
    expect(await names()).toEqual(own);
  });
});
