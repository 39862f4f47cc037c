import { beforeEach, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, fileObject } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
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
async function put(bytes: string, operation: string): Promise<void> {
  async function* source() {
    yield Buffer.from(bytes);
  }
  await world.ports.objects.create(vault, object, source(), { operation, shard: "0" });
}

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
  const doc = await world.ports.store.get<Operation>(other.name);
  const data = { ...other, done: true };
  await world.ports.store.commit([{ kind: "put", path: other.name, data, updateTime: doc?.updateTime ?? "" }]);
  await world.settle();
  expect((await world.ports.store.get<Backup>(nightly))?.data.state).toBe("ACTIVE");
  expect(stored()).toMatch(/^(VALKEY|REDIS)/);
});
