import { describe, expect, it } from "vitest";
import { later, timeOf } from "../../shared/backup/duration.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import { type Fault, faults } from "./crash.ts";
import { alerts, endpoint, inOrder, openKinds, orders } from "./watched.ts";
import { type Plan, vault, type World } from "./world.ts";

/** A thing of each sort is wrong: an instance's backup, job and server, a bucket, the outbox, an Operation. */
async function trouble(): Promise<World> {
  const world = await inOrder();
  await world.clock.advance(27 * 3_600_000);
  await world.ports.scheduler.remove("valkeep-backup-orders");
  world.valkey.stop(endpoint);
  delete world.buckets[vault];
  const now = timeOf(world.clock.now());
  const operation = {
    ...newOperation("sweep.v1.requested", {}, "sweep-1", now),
    createTime: later(now, -9000),
    deadlineTime: later(now, -1),
  };
  const entry = { type: "tick.v1", data: {}, attributes: {}, createTime: now, relayTime: later(now, -1000) };
  await world.ports.store.commit([
    { kind: "create", path: operation.name, data: operation },
    { kind: "create", path: "outbox/stuck", data: entry },
  ]);
  return world;
}

async function mend(world: World): Promise<void> {
  world.valkey.start(endpoint);
  world.buckets[vault] = { location: "asia-northeast1", locationType: "region" };
  await world.ports.store.commit([
    { kind: "remove", path: "operations/sweep-1" },
    { kind: "remove", path: "outbox/stuck" },
    { kind: "remove", path: orders },
  ]);
}

const kinds = [
  `backup-overdue ${orders} CRITICAL`,
  `bucket-missing buckets/${vault} CRITICAL`,
  `instance-unreachable ${orders} WARNING`,
  `job-missing ${orders} WARNING`,
  "operation-stuck operations/sweep-1 WARNING",
  "outbox-stuck outbox WARNING",
];
const raised = kinds.map((kind) => `raised ${kind}`);
const cleared = kinds.map((kind) => `cleared ${kind}`);

/** Rounds, one of which goes wrong, and what follows: the next round, the relay, and at last the one that stood still. */
async function play(world: World, plan?: Plan): Promise<void> {
  world.plan(plan);
  await world.look();
  await world.clock.advance(1_000);
  await world.look();
  for (const delivery of world.deliveries) if (delivery.isStill()) delivery.thaw();
  await world.clock.advance(60_000);
  await new Promise(setImmediate);
  world.plan(undefined);
  await world.look();
}

/** What is due is published, and the outbox holds no alert any more. */
async function relayed(world: World): Promise<string[]> {
  await world.clock.advance(60_000);
  await world.tick();
  const left = (await world.ports.store.query({ collection: "outbox" })).filter(
    ({ path }) => path.includes(".v1") || path.includes("Z."),
  );
  expect(left).toEqual([]);
  return alerts(world).sort();
}

async function effectsOf(prepare: () => Promise<World>): Promise<number> {
  const world = await prepare();
  world.plan(undefined);
  await world.look();
  return world.deliveries[0]?.effects.length ?? 0;
}

const troubled = async (): Promise<World> => {
  const world = await trouble();
  await world.look();
  await world.clock.advance(1_000);
  await mend(world);
  return world;
};

async function disturbEach(prepare: () => Promise<World>, fault: Fault, holds: (world: World) => Promise<void>) {
  const count = await effectsOf(prepare);
  expect(count).toBeGreaterThan(20);
  for (let effect = 0; effect < count; effect++) {
    const world = await prepare();
    await play(world, { delivery: 0, effect, fault });
    await holds(world).catch((cause) => {
      throw new Error(`${fault} effect ${effect}: ${cause.message}`, { cause });
    });
  }
}

describe.each(faults.filter((fault) => fault !== "mid"))("a round that goes wrong at any effect: %s", (fault) => {
  it("raises every alert once", async () => {
    await disturbEach(trouble, fault, async (world) => {
      expect(await openKinds(world)).toEqual(kinds.map((kind) => kind.replace(/ [A-Z]+$/, "")).sort());
      expect(await relayed(world)).toEqual(raised);
    });
  });

  it("clears every alert once", async () => {
    await disturbEach(troubled, fault, async (world) => {
      expect(await openKinds(world)).toEqual([]);
      expect(await relayed(world)).toEqual([...cleared, ...raised]);
    });
  });
});
