import { beforeEach, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, fileObject, manifestObject } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { operationIdFor } from "../../shared/pipeline/identity.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { change } from "./change.ts";
import { operationsOf } from "./requested.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

const nightly = backupName("orders", "nightly");
const object = fileObject(nightly, 0);
const other: Operation = {
  name: "operations/backup-other",
  verb: "backup",
  target: nightly,
  request: { type: "backup.v1.requested", data: {} },
  createTime: "2026-01-01T00:00:00.000Z",
  done: false,
  progress: { step: "shard.v1.requested" },
  deadlineTime: "2999-01-01T00:00:00.000Z",
  holds: [],
};

let world: World;
beforeEach(async () => {
  world = createWorld();
  const source = world.valkey.start("127.0.0.1:7001");
  const value = Uint8Array.from(encodeString("v"));
  source.shards[0]?.set(keyName(0, "key"), { type: 0, expireTimeMs: -1, value });
  const instance = instanceOf("orders", "127.0.0.1:7001");
  await world.ports.store.commit([
    { kind: "create", path: instance.name, data: instance },
    { kind: "create", path: other.name, data: other },
  ]);
  await put("of the other", other.name);
});

/** An object where the backup's file belongs, written by an Operation. */
async function put(bytes: string, operation: string, at = object, shard = "0"): Promise<void> {
  await world.ports.objects.create(vault, at, once(Buffer.from(bytes)), { operation, shard });
}

/** The other Operation has ended. */
const endOther = () => change<Operation>(world, other.name, { done: true });

/** The Operation that `deliverOnce` begins. */
const own = `operations/${operationIdFor("backup.v1.requested", "request orders a")}`;

/** Asks for the backup and delivers what follows, once each. */
async function deliverOnce(): Promise<void> {
  await world.events.publish({
    type: "backup.v1.requested",
    data: { instance: "orders", backupId: "nightly", requestId: "a" },
    attributes: {},
  });
  for (const type of ["backup.v1.requested", "shard.v1.requested"])
    await world.deliver(world.events.take().find((message) => message.type === type) ?? expect.unreachable());
}

const stored = () => Buffer.from(world.ports.objects.contents(vault, object) ?? []).toString();

it("a file of another operation that goes on is never removed: the snapshot waits for its end", async () => {
  await deliverOnce();
  expect(stored()).toBe("of the other");
  const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
  expect(tasks.find(({ data }) => data.type === "shard.v1.requested")?.data).toMatchObject({
    done: false,
    error: { code: "ABORTED", message: `${object} belongs to ${other.name}, which is still at work` },
  });
});

it("once that operation has ended its file gives way, and the backup is whole", async () => {
  await deliverOnce();
  await endOther();
  await world.settle();
  expect((await world.ports.store.get<Backup>(nightly))?.data.state).toBe("ACTIVE");
  expect(stored()).toMatch(/^(VALKEY|REDIS)/);
});

it("a file for which a manifest stands is never removed, though nobody remembers its backup", async () => {
  await put("the manifest", other.name, manifestObject(nightly));
  await endOther();
  await deliverOnce();
  const mine = (await operationsOf(world, "backup")).find(({ name }) => name === own);
  expect(mine?.error).toMatchObject({
    code: "ALREADY_EXISTS",
    message: `${nightly} is complete in the bucket already; nothing is overwritten`,
  });
  expect(stored()).toBe("of the other");
});

it("a manifest of somebody else that appears in the end is left as it is, and the backup does not count", async () => {
  await endOther();
  await deliverOnce();
  await put("the manifest", other.name, manifestObject(nightly));
  await world.settle();
  const mine = (await operationsOf(world, "backup")).find(({ name }) => name === own);
  expect(mine?.error).toMatchObject({ code: "ALREADY_EXISTS", message: expect.stringMatching(/with other contents/) });
  expect(Buffer.from(world.ports.objects.contents(vault, manifestObject(nightly)) ?? []).toString()).toBe(
    "the manifest",
  );
  expect(await world.ports.store.get(nightly)).toBeUndefined();
});

it.each([
  ["that is no whole file gives way to one that is", "0", "half", ["ACTIVE", [1]]],
  ["that was written for another shard is not taken for it", "7", "whole", [undefined, undefined]],
])("an object of its own %s", async (_, shard, kind, outcome) => {
  await endOther();
  const found = await world.ports.objects.stat(vault, object);
  if (found !== undefined) await world.ports.objects.remove(found);
  const whole = writeRdb({ magic: "REDIS", rdbVersion: 11 }, []);
  const bytes = kind === "whole" ? whole : whole.subarray(0, -1);
  await world.ports.objects.create(vault, object, once(bytes), { operation: own, shard });
  await deliverOnce();
  await world.settle();
  const { data } = (await world.ports.store.get<Backup>(nightly)) ?? {};
  expect([data?.state, data?.backupFiles.map(({ keys }) => keys)]).toEqual(outcome);
});
