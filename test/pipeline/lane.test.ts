import { beforeEach, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Task } from "../../shared/backup/operation.ts";
import { fill, register } from "./registered.ts";
import { createWorld, instanceOf, type World } from "./world.ts";

const nightly = backupName("orders", "nightly");
let world: World;

beforeEach(async () => {
  world = createWorld();
  fill(world.valkey.start("127.0.0.1:7001", 5), 20);
  await register(world, { ...instanceOf("orders", "127.0.0.1:7001"), maxParallelShards: 2 });
});

async function take(): Promise<Backup | undefined> {
  const data = { instance: "orders", backupId: "nightly" };
  await world.events.publish({ type: "backup.v1.requested", data, attributes: {} });
  await world.settle();
  return (await world.ports.store.get<Backup>(nightly))?.data;
}

async function lanes(): Promise<unknown[]> {
  const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
  return tasks.flatMap(({ data }) =>
    data.type === "shard.v1.requested" ? [(data.data as { shards: number[] }).shards] : [],
  );
}

it("takes the shards in no more lanes than the instance allows, each in one delivery", async () => {
  const backup = await take();
  expect(backup).toMatchObject({ state: "ACTIVE", shardCount: 5 });
  expect(backup?.backupFiles.map(({ fileName }) => fileName)).toEqual([0, 1, 2, 3, 4].map((n) => `${n}.rdb`));
  expect(await lanes()).toEqual([
    [0, 2, 4],
    [1, 3],
  ]);
});

it("asks for the rest of a lane once its delivery has no time for another shard", async () => {
  const { snapshot } = world.valkey;
  world.valkey.snapshot = async function* (instance, task, signal, onSource) {
    await world.clock.sleep(200_000, signal);
    yield* snapshot(instance, task, signal, onSource);
  };
  expect(await take()).toMatchObject({ state: "ACTIVE", totalSizeBytes: expect.any(Number) });
  expect(await lanes()).toEqual([[0, 2, 4], [1, 3], [2, 4], [3], [4]]);
});

it("keeps with each file when and of whom it was taken", async () => {
  const [file] = (await take())?.backupFiles ?? [];
  expect(file).toMatchObject({ sourceRole: "PRIMARY", replicationId: "run-1", replicationOffset: 0 });
  expect(file?.snapshotStartTime).toMatch(/^2026-01-01T00/);
  expect(file?.snapshotEndTime).toBe(file?.createTime);
});
