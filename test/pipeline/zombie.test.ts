import { beforeEach, describe, expect, it } from "vitest";
import { type StepFunction, steps } from "../../functions/steps.ts";
import type { Backup } from "../../shared/backup/backup.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { routes } from "../../shared/backup/route.ts";
import { StatusError } from "../../shared/error.ts";
import type { PublishedMessage } from "../../shared/memory/events.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { objectsOf } from "./objects.ts";
import { fill, register } from "./registered.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

let world: World;
const nightly = backupName("orders", "nightly");

beforeEach(async () => {
  world = createWorld();
  fill(world.valkey.start("127.0.0.1:7001", 2), 12);
  await register(world, instanceOf("orders", "127.0.0.1:7001"));
});

/** One delivery with ports of one's own. */
async function deliver(message: PublishedMessage | undefined, ports: Ports = world.ports): Promise<string> {
  if (message === undefined) throw new Error("there is no such message");
  const [name] =
    Object.entries(routes).find(([, topics]) => (topics as readonly EventType[]).includes(message.type)) ?? [];
  const incoming = {
    ...message,
    data: Buffer.from(JSON.stringify(message.data)),
    publishTime: new Date(world.clock.now()).toISOString(),
  };
  return handle(steps[name as StepFunction], incoming, ports, timing).catch(() => "failed");
}

const taken = (type: EventType, shard?: number): PublishedMessage | undefined =>
  world.events
    .take()
    .find((m) => m.type === type && (shard === undefined || (m.data as { shards?: number[] }).shards?.[0] === shard));

/** Ports of a process that stands still within one call, and whose timers never come: until `go`. */
function still(effect: "valkey.snapshot" | "valkey.scan" | "objects.create"): { ports: Ports; go: () => void } {
  const { promise: gone, resolve: go } = Promise.withResolvers<void>();
  const { clock, objects, valkey } = world.ports;
  const sleep: Ports["clock"]["sleep"] = (_, signal) =>
    new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
  const ports: Ports = { ...world.ports, clock: { ...clock, sleep } };
  if (effect === "objects.create")
    ports.objects = {
      ...objects,
      async create(...args) {
        await gone;
        return await objects.create(...args);
      },
    };
  else {
    const stopped = async function* (source: AsyncIterable<Uint8Array>) {
      for await (const chunk of source) {
        yield chunk;
        await gone;
      }
    };
    const snapshot: Ports["valkey"]["snapshot"] = (...args) => stopped(valkey.snapshot(...args));
    const scan: Ports["valkey"]["scan"] = (...args) => stopped(valkey.scan(...args));
    ports.valkey = { ...valkey, ...(effect === "valkey.scan" ? { scan } : { snapshot }) };
  }
  return { ports, go };
}

async function pause(): Promise<void> {
  for (let n = 0; n < 20; n++) await new Promise(setImmediate);
}

describe("a snapshot that goes on after its operation was cancelled", () => {
  it("leaves the files of a backup that was begun anew under the same id", async () => {
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "nightly", requestId: "a" },
      attributes: {},
    });
    await deliver(taken("backup.v1.requested"));
    const zombieMessage = taken("shard.v1.requested", 0);
    let look: () => void = () => undefined;
    const looked = new Promise<void>((resolve) => {
      look = resolve;
    });
    let isFirst = true;
    const stat: Ports["objects"]["stat"] = async (...args) => {
      if (isFirst) {
        isFirst = false;
        await looked; // Cloud Storage answers late, once
      }
      return world.ports.objects.stat(...args);
    };
    const zombie = deliver(zombieMessage, { ...world.ports, objects: { ...world.ports.objects, stat } });
    await pause();
    const [first] = await world.ports.store.query<Operation>({ collection: "operations" });
    await endOperation(world.ports, first?.path ?? "", new StatusError("CANCELLED", "by hand"), true);
    await deliver(taken("erasure.v1.requested"));

    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "nightly", requestId: "b" },
      attributes: {},
    });
    await deliver(taken("backup.v1.requested"));
    const shards = world.events.take().filter(({ type }) => type === "shard.v1.requested");
    await deliver(shards[0]);
    look();
    await pause();
    await deliver(shards[1]);
    await world.settle();
    await zombie;

    const backup = (await world.ports.store.get<Backup>(nightly))?.data;
    const there: string[] = [];
    for await (const { object } of world.ports.objects.list(vault, `${nightly}/`)) there.push(object);
    expect(backup?.state).toBe("ACTIVE");
    expect(there).toEqual([`${nightly}/0.rdb`, `${nightly}/1.rdb`, `${nightly}/manifest.json`]);
  });
});

describe("a backup that is cancelled while one of its functions stands still", () => {
  it.each([
    ["in the midst of a file", "shard.v1.requested", "valkey.snapshot"],
    ["in the midst of a segment", "shard.v1.requested", "valkey.scan"],
    ["before the manifest", "seal.v1.requested", "objects.create"],
  ] as const)("%s gets no object more from it", async (_, type, effect) => {
    const server = world.valkey.servers.get("127.0.0.1:7001");
    const scanned = { refusesReplication: true, keysOfScan: 3, answers: { usedMemoryBytes: 1e12 } };
    if (effect === "valkey.scan") Object.assign(server ?? {}, scanned);
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "nightly" },
      attributes: {},
    });
    let message: PublishedMessage | undefined;
    for (let step = 0; step < 3 && message === undefined; step++)
      for (const one of world.events.take())
        if (one.type === type) message ??= one;
        else await deliver(one);
    const { ports, go } = still(effect);
    const zombie = deliver(message, ports);
    await pause();
    const [backup] = await world.ports.store.query<Operation>({ collection: "operations" });
    await endOperation(world.ports, backup?.path ?? "", new StatusError("CANCELLED", "by hand"), true);
    await world.settle();
    go();
    expect(await zombie).toBe("later");
    expect(await objectsOf(world, vault)).toEqual([]);
  });
});

describe("a change of a schedule", () => {
  it("that was overtaken by a later one while it stood still does not bring the old job back", async () => {
    const { store, scheduler } = world.ports;
    await world.events.publish({
      type: "instance.v1.changed",
      data: { instance: "orders", requestId: "a" },
      attributes: {},
    });
    let go: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    const put: Ports["scheduler"]["put"] = async (job) => {
      await gone;
      await scheduler.put(job);
    };
    const message = taken("instance.v1.changed");
    const stopped: Ports = {
      ...world.ports,
      scheduler: { ...scheduler, put },
      clock: { ...world.clock, sleep: () => new Promise<never>(() => undefined) }, // a process that stands still
    };
    const zombie = deliver(message, stopped);
    await pause();
    const doc = await store.get<object>("instances/orders");
    await store.commit([{ kind: "remove", path: "instances/orders", ...(doc && { updateTime: doc.updateTime }) }]);
    await world.clock.advance(timing.lease + 1);
    expect(await deliver(message)).toBe("done");
    go();
    await pause();
    void zombie;
    await world.clock.advance(2 * 3600_000); // a second look puts it right
    await world.settle();
    expect(await scheduler.list()).toEqual([]);
  });
});

describe("a load that stands still before it writes", () => {
  it("writes nothing once the restore is over and the instance is in use again", async () => {
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "nightly", requestId: "a" },
      attributes: {},
    });
    await world.settle();
    const target = world.valkey.start("127.0.0.1:7002");
    const copy = instanceOf("copy", "127.0.0.1:7002");
    await world.ports.store.commit([{ kind: "create", path: copy.name, data: copy }]);
    await world.events.publish({
      type: "restore.v1.requested",
      data: { instance: "copy", backup: nightly, allowShrink: true, requestId: "r" },
      attributes: {},
    });
    await deliver(taken("restore.v1.requested"));
    const message = taken("part.v1.requested", undefined);
    const broken: Ports = {
      ...world.ports,
      valkey: { ...world.ports.valkey, load: () => Promise.reject(new StatusError("UNAVAILABLE", "the link broke")) },
    };
    expect(await deliver(message, broken)).toBe("later");

    let go: () => void = () => undefined;
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    const still: Ports = {
      ...world.ports,
      clock: { ...world.clock, sleep: () => new Promise<never>(() => undefined) },
      valkey: {
        ...world.ports.valkey,
        load: async (...args) => {
          await gone; // connecting takes long
          return await world.ports.valkey.load(...args);
        },
      },
    };
    const zombie = deliver(message, still);
    await pause();
    await world.clock.advance(timing.lease + 1);
    await world.settle();
    const restores = await world.ports.store.query<Operation>({
      collection: "operations",
      where: [["verb", "==", "restore"]],
    });
    expect(restores.map(({ data }) => [data.done, data.error])).toEqual([[true, undefined]]);
    const written = { type: 0, expireTimeMs: -1, value: Uint8Array.from(encodeString("new")) };
    for (let n = 0; n < 12; n++) target.shards[0]?.set(keyName(0, `key-${n}`), written);
    go();
    await pause();
    void zombie; // its timers stand still for ever
    expect(
      [...(target.shards[0]?.values() ?? [])].every(({ value }) => Buffer.compare(value, written.value) === 0),
    ).toBe(true);
  });
});
