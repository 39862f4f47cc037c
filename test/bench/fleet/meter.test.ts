import { expect, it } from "vitest";
import { once } from "../../../shared/pipeline/stream.ts";
import { createWorld, vault } from "../../pipeline/world.ts";
import { metered, nothing } from "./meter.ts";
import { monthOf, withoutStorage } from "./month.ts";

/** Ports in memory, and what is counted of their use. */
function counting() {
  const usage = { ...nothing };
  return { usage, ports: metered(createWorld().ports, usage) };
}

it("counts documents as Firestore bills them: nothing found is one read, a guarded put is two writes", async () => {
  const { usage, ports } = counting();
  await ports.store.commit([{ kind: "create", path: "a/1", data: {} }]);
  const found = await ports.store.get("a/1");
  await ports.store.commit([{ kind: "put", path: "a/1", data: { x: 1 }, updateTime: found?.updateTime ?? "" }]);
  await ports.store.getAll(["a/1", "a/2"]);
  await ports.store.query({ collection: "b" });
  await ports.store.commit([{ kind: "remove", path: "a/1" }]);
  expect(usage).toEqual({ ...nothing, reads: 4, writes: 3, deletes: 1 });
});

it("counts a message that a function hears twice, and at least a thousand bytes each time", async () => {
  const { usage, ports } = counting();
  await ports.events.publish({ type: "tick.v1", data: {}, attributes: {} });
  await ports.events.publish({ type: "backup.v1.created", data: { backup: "b" }, attributes: { a: "x".repeat(2000) } });
  expect(usage).toMatchObject({ messages: 2, deliveries: 1 });
  expect(usage.messageBytes).toBeGreaterThan(4_000);
  expect(usage.messageBytes).toBeLessThan(4_100);
});

it("counts storage operations by their class; deleting is free", async () => {
  const { usage, ports } = counting();
  const info = await ports.objects.create(vault, "o", once(Buffer.from("x")), {});
  await ports.objects.stat(vault, "o");
  for await (const _ of ports.objects.list(vault, "")) expect(_.object).toBe("o");
  await ports.objects.remove(info);
  expect(usage).toEqual({ ...nothing, classA: 2, classB: 1 });
});

it("adds a month of a fleet up at list prices", () => {
  const idle = { ...nothing, reads: 100_000 };
  const instance = { ...nothing, writes: 100_000, classA: 1000 };
  const month = monthOf(10, { idle, instance, jobs: 2, kept: 5, sizeGb: 2 });
  expect(month.firestore).toBeCloseTo(30.4 * (0.03 + 10 * 0.09));
  expect([month.operations, month.storage, month.scheduler]).toEqual([
    expect.closeTo(30.4 * 10 * 0.005),
    expect.closeTo(10 * 5 * 2 * 0.02),
    expect.closeTo(1.2),
  ]);
  expect(withoutStorage(month)).toBeCloseTo(month.firestore + month.operations + month.scheduler + month.run);
});
