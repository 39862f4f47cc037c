import { beforeEach, describe, expect, it } from "vitest";
import { relay } from "../../functions/relay.ts";
import { steps } from "../../functions/steps.ts";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, collectionName } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { buried } from "../../shared/pipeline/dead-letter.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { endOperation, submit } from "../../shared/pipeline/submit.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { watch } from "./crash.ts";
import { createWorld, instanceOf, type World } from "./world.ts";

let world: World;
beforeEach(async () => {
  world = createWorld();
  await shards(1);
});

async function shards(count: number): Promise<void> {
  const source = world.valkey.start("127.0.0.1:7001", count);
  for (let n = 0; n < count; n++)
    source.shards[n]?.set(keyName(0, `key-${n}`), {
      type: 0,
      expireTimeMs: -1,
      value: Uint8Array.from(encodeString("v")),
    });
  const path = "instances/orders";
  const before = await world.ports.store.get(path);
  const data = { ...instanceOf("orders", "127.0.0.1:7001"), maxParallelShards: count };
  await world.ports.store.commit([
    before === undefined ? { kind: "create", path, data } : { kind: "put", path, data, updateTime: before.updateTime },
  ]);
}

const operations = async (verb: string): Promise<Operation[]> =>
  (await world.ports.store.query<Operation>({ collection: "operations", where: [["verb", "==", verb]] })).map(
    ({ data }) => data,
  );

const incoming = (
  type: keyof typeof import("../../shared/backup/event.ts").events,
  data: unknown,
  attributes: Record<string, string> = {},
) => ({
  type,
  messageId: "m1",
  publishTime: new Date(world.clock.now()).toISOString(),
  attributes,
  data: Buffer.from(JSON.stringify(data)),
});

describe("the relay", () => {
  it("goes on with the others when one topic is missing", async () => {
    const { publish } = world.events;
    const entry = (type: string, minute: number) => ({
      type,
      data: type === "backup.v1.created" ? { backup: "backupCollections/a/backups/b" } : { requestId: "r" },
      attributes: {},
      relayTime: `2025-01-01T00:0${minute}:00.000Z`,
      createTime: "2025-01-01T00:00:00.000Z",
    });
    await world.ports.store.commit([
      { kind: "create", path: "outbox/a", data: entry("backup.v1.created", 0) },
      { kind: "create", path: "outbox/b", data: entry("sweep.v1.requested", 1) },
    ]);
    const events = {
      publish: async (message: Parameters<typeof publish>[0]) => {
        if (message.type === "backup.v1.created") throw new StatusError("UNAVAILABLE", "there is no such topic");
        await publish(message);
      },
    };
    for (let tick = 0; tick < 3; tick++) {
      await relay({ ...world.ports, events }, timing).catch(() => undefined);
      await world.clock.advance(60_000);
    }
    expect(world.events.messages.map(({ type }) => type)).toContain("sweep.v1.requested");
  });

  it("wakes what died with its function, once its lease is over, though Pub/Sub never brings it again", async () => {
    const { ports } = watch(world.ports, "before", 2); // the claim is written by then
    void handle(steps.backup, incoming("backup.v1.requested", { instance: "orders" }), ports, timing);
    await world.clock.advance(timing.lease + timing.neglect - 1);
    await world.tick();
    expect(world.events.take()).toEqual([]);
    await world.clock.advance(1);
    await world.tick();
    expect(world.events.take().map(({ type }) => type)).toEqual(["backup.v1.requested"]);
  });

  it("lets what belongs to an operation that has ended lie, once and for all", async () => {
    const name = await submit(world.ports, "backup.v1.requested", { instance: "orders" });
    world.events.take();
    await endOperation(world.ports, name, new StatusError("CANCELLED", "by hand"), true);
    await world.clock.advance(10 * timing.neglect);
    await world.tick();
    expect(world.events.take().filter(({ type }) => type === "backup.v1.requested")).toEqual([]);
    const [task] = await world.ports.store.query<Task>({ collection: `${name}/tasks` });
    expect(task?.data.relayTime).toBeUndefined();
  });

  it("ends what is overdue even if an outbox entry cannot be published", async () => {
    const name = await submit({ ...world.ports, events: { publish: async () => undefined } }, "sweep.v1.requested", {});
    await world.clock.advance(2 * 3600_000);
    await world.ports.store.commit([
      {
        kind: "create",
        path: "outbox/a",
        data: {
          type: "backup.v1.created",
          data: {},
          attributes: {},
          relayTime: "2025-01-01T00:00:00.000Z",
          createTime: "",
        },
      },
    ]);
    const events = { publish: async () => Promise.reject(new StatusError("UNAVAILABLE", "no such topic")) };
    await relay({ ...world.ports, events }, timing).catch(() => undefined);
    expect((await world.ports.store.get<Operation>(name))?.data.done).toBe(true);
  });
});

describe("a set", () => {
  it.each([30, 250])("of %i shards that all end at once is completed", async (count) => {
    await shards(count);
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "n" },
      attributes: {},
    });
    for (const message of world.events.take()) await world.deliver(message);
    const messages = world.events.take().filter(({ type }) => type === "shard.v1.requested");
    expect(messages).toHaveLength(count);
    // every shard at the same time, Pub/Sub's back-off between the tries; the store takes 20 ms for a call
    const { store, clock } = world.ports;
    const slowly = async <T>(call: () => Promise<T>): Promise<T> => {
      await clock.sleep(20);
      return await call();
    };
    const slow: Ports["store"] = {
      get: async (path) => await slowly(() => store.get(path)),
      getAll: async (paths) => await slowly(() => store.getAll(paths)),
      commit: async (writes) => await slowly(() => store.commit(writes)),
      query: store.query,
    };
    let waiting = messages;
    let tries = 0;
    for (; waiting.length > 0 && tries < 40; tries++) {
      const again: typeof waiting = [];
      let open = waiting.length;
      const all = waiting.map(async (message) => {
        const answer = await handle(
          steps.snapshot,
          { ...message, publishTime: "", data: Buffer.from(JSON.stringify(message.data)) },
          { ...world.ports, store: slow },
          timing,
        ).catch(() => "later");
        if (answer === "later") again.push(message);
        open--;
      });
      for (let n = 0; open > 0 && n < 20_000; n++) {
        await clock.advance(20);
        await new Promise(setImmediate);
      }
      await Promise.all(all);
      waiting = again;
      await clock.advance(10_000);
    }
    const failed = (await operations("backup")).find(({ error }) => error !== undefined);
    expect(failed?.error).toBeUndefined();
    expect(tries).toBeLessThanOrEqual(3);
  }, 60_000);

  it("of no shards does not stand still", async () => {
    world.valkey.start("127.0.0.1:7001", 0);
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "n" },
      attributes: {},
    });
    for (const message of world.events.take()) await world.deliver(message);
    const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
    const open = tasks.filter(({ data }) => !data.done);
    const [operation] = await operations("backup");
    expect(operation?.done || open.length > 0).toBe(true);
  });
});

describe("a message", () => {
  it("that kills its function every time fails its operation after the attempts that are allowed", async () => {
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", requestId: "r" },
      attributes: {},
    });
    const [message] = world.events.take();
    if (message === undefined) throw new Error("no message");
    for (let n = 0; n < timing.maxAttempts + 5; n++) {
      const dying = watch(world.ports);
      dying.ports.valkey = { ...world.ports.valkey, describe: () => new Promise<never>(() => undefined) };
      const dead: Ports = {
        ...dying.ports,
        clock: { ...world.clock, sleep: () => new Promise<never>(() => undefined) },
      };
      void handle(
        steps.backup,
        {
          ...message,
          publishTime: new Date(world.clock.now()).toISOString(),
          data: Buffer.from(JSON.stringify(message.data)),
        },
        dead,
        timing,
      );
      for (let k = 0; k < 20; k++) await new Promise(setImmediate);
      await world.clock.advance(timing.lease + 1);
    }
    const tasks = await world.ports.store.query<Task>({ collection: "tasks", group: true });
    const task = tasks.find(({ data }) => data.type === "backup.v1.requested")?.data;
    expect(task?.attempt).toBeLessThanOrEqual(timing.maxAttempts + 1);
    expect((await operations("backup"))[0]?.done).toBe(true);
  });

  it("that reaches the wrong function costs its task no attempt and takes no lease", async () => {
    await submit(world.ports, "backup.v1.requested", { instance: "orders" });
    const [message] = world.events.take();
    await handle(steps.sweep, incoming("sweep.v1.requested", {}, message?.attributes), world.ports, timing).catch(
      () => undefined,
    );
    const [task] = await world.ports.store.query<Task>({ collection: "tasks", group: true });
    expect(task?.data).toMatchObject({ attempt: 0 });
    expect(task?.data.lease).toBeUndefined();
  });

  it.each(["..", "."])("whose task is called %j is answered, not brought again for ever", async (task) => {
    const attributes = { operation: "backup-0123456789abcdef", task };
    const message = incoming("backup.v1.requested", { instance: "orders" }, attributes);
    expect(await handle(steps.backup, message, world.ports, timing).catch((error) => `threw ${error.message}`)).toBe(
      "done",
    );
  });

  it("whose task is called .. does not come out of the dead letters for ever", async () => {
    const attributes = { operation: "backup-0123456789abcdef", task: "..", type: "backup.v1.requested" };
    await buried(incoming("backup.v1.requested", { instance: "orders" }, attributes), world.ports, timing);
  });
});

describe("a dead letter that belongs to no operation", () => {
  it.each(["tick.v1", "watch.v1"] as const)("is let go: %s", async (type) => {
    const source = { CloudPubSubDeadLetterSourceSubscription: `valkeep.${type}.any` };
    await buried(incoming(type, {}, source), world.ports, timing);
    expect(await world.ports.store.query({ collection: "operations" })).toEqual([]);
  });
});

describe("a request id", () => {
  it("used for two backups asks for two deletions", async () => {
    for (const backupId of ["one", "two"]) {
      await world.events.publish({
        type: "backup.v1.requested",
        data: { instance: "orders", backupId },
        attributes: {},
      });
      await world.settle();
    }
    for (const backupId of ["one", "two"]) {
      const data = { backup: backupName("orders", backupId), requestId: "cleanup-2026" };
      await world.events.publish({ type: "deletion.v1.requested", data, attributes: {} });
      await world.settle();
    }
    const states = (await world.ports.store.query<Backup>({ collection: `${collectionName("orders")}/backups` })).map(
      ({ data }) => data.state,
    );
    expect(states).toEqual(["DELETING", "DELETING"]);
  });

  it("of a malformed request can be used by the corrected one", async () => {
    await handle(
      steps.backup,
      incoming("backup.v1.requested", { instance: "orders", ttl: "14", requestId: "r" }),
      world.ports,
      timing,
    );
    await handle(
      steps.backup,
      { ...incoming("backup.v1.requested", { instance: "orders", ttl: "14d", requestId: "r" }), messageId: "m2" },
      world.ports,
      timing,
    );
    expect((await operations("backup")).some(({ error }) => error === undefined)).toBe(true);
  });
});

describe("an unknown answer", () => {
  /** The ports of the world, whose first commit goes through and is answered with an error. */
  function losingOneAnswer(code: "UNKNOWN" | "UNAVAILABLE" | "ABORTED"): Ports {
    const { store } = world.ports;
    let isFirst = true;
    const commit: Ports["store"]["commit"] = async (writes) => {
      await store.commit(writes);
      if (!isFirst) return;
      isFirst = false;
      throw new StatusError(code, "the answer was lost");
    };
    return { ...world.ports, store: { ...store, commit } };
  }

  it.each([
    "UNKNOWN",
    "UNAVAILABLE",
    "ABORTED",
  ] as const)("to the commit of a submitted request (%s) does not make the caller ask twice", async (code) => {
    const name = await submit(losingOneAnswer(code), "sweep.v1.requested", {});
    expect((await operations("sweep")).map((operation) => operation.name)).toEqual([name]);
  });

  it.each([
    "UNKNOWN",
    "UNAVAILABLE",
    "ABORTED",
  ] as const)("to the commit that ends an operation (%s) is read as success", async (code) => {
    const name = await submit(world.ports, "sweep.v1.requested", {});
    const ended = endOperation(losingOneAnswer(code), name, new StatusError("CANCELLED", "by hand"), true).catch(
      (error) => error.message,
    );
    await world.clock.advance(1_000);
    expect(await ended).toBe(true);
  });
});
