import { expect, it } from "vitest";
import { relay } from "../../functions/relay.ts";
import { endLeases } from "../../infra/local/lease.ts";
import type { Task } from "../../shared/backup/operation.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { createWorld, instanceOf } from "../pipeline/world.ts";

it("has the first tick of a new start go on with what somebody held when everything ended", async () => {
  const world = createWorld();
  const { store, clock } = world.ports;
  world.valkey.start("127.0.0.1:7001", 1);
  await store.commit([{ kind: "create", path: "instances/orders", data: instanceOf("orders", "127.0.0.1:7001") }]);
  const name = await submit(world.ports, "backup.v1.requested", { instance: "orders" });
  const path = `${name}/tasks/backup.v1.requested`;
  const task = await store.get<Task>(path);
  if (task === undefined) throw new Error(`there is no ${path}`);
  const time = (after: number): string => new Date(clock.now() + after).toISOString();
  const lease = { owner: "whoever was killed", epoch: 1, expireTime: time(timing.lease) };
  const held: Task = { ...task.data, attempt: 1, lease, relayTime: time(timing.lease + timing.neglect) };
  // Postponed: its time comes by itself.
  const postponed: Task = { ...held, lease: { ...lease, expireTime: time(-1) }, relayTime: time(60_000) };
  await store.commit([
    { kind: "put", path, data: held, updateTime: task.updateTime },
    { kind: "create", path: `${name}/tasks/postponed`, data: postponed },
  ]);

  world.events.take();

  await endLeases(store, clock.now());

  const sent = world.events.messages.length;
  await relay(world.ports, timing);
  expect(world.events.messages.slice(sent)).toMatchObject([{ type: "backup.v1.requested" }]);
  expect((await store.get(`${name}/tasks/postponed`))?.data).toEqual(postponed);
  await world.settle();
  expect((await store.get<Task>(path))?.data).toMatchObject({ attempt: 2, lease: { epoch: 2 } });
});
