import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import type { PublishedMessage } from "../../shared/memory/events.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { claim } from "../../shared/pipeline/claim.ts";
import type { LoadOptions, Ports, ShardTask } from "../../shared/pipeline/ports.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { register } from "./registered.ts";
import { operationsOf } from "./requested.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

let world: World;
const nightly = backupName("orders", "nightly");
const later = Date.UTC(2026, 0, 1) + 3600_000;

async function begin(shards: number, expireTimeMs = -1): Promise<void> {
  world = createWorld();
  const source = world.valkey.start("127.0.0.1:7001", shards);
  for (let n = 0; n < 12; n++)
    source.shards[n % shards]?.set(keyName(0, `key-${n}`), {
      type: 0,
      expireTimeMs: n < 2 ? expireTimeMs : -1,
      value: Uint8Array.from(encodeString("v")),
    });
  world.valkey.start("127.0.0.1:7002");
  await register(world, instanceOf("orders", "127.0.0.1:7001"), instanceOf("copy", "127.0.0.1:7002"));
  await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" });
}

beforeEach(async () => begin(2));

async function ask<T extends EventType>(type: T, data: EventMap[T]): Promise<Operation | undefined> {
  const before = new Set((await operations()).map(({ name }) => name));
  await world.events.publish({ type, data, attributes: {} });
  await world.settle();
  return (await operations()).find(({ name }) => !before.has(name));
}

const operations = () => operationsOf(world);

/** Replaces `valkey.load` of every delivery. */
function onLoad(load: (original: Ports["valkey"]["load"]) => Ports["valkey"]["load"]): void {
  world.ports.valkey.load = load(world.ports.valkey.load.bind(world.ports.valkey));
}

describe("a restore", () => {
  it("that names one file twice is refused before anything is changed", async () => {
    const uri = `gs://${vault}/${nightly}/0.rdb`;
    const operation = await ask("restore.v1.requested", { instance: "copy", gcsSourceUris: [uri, uri] });
    expect(operation?.error?.code).toMatch(/INVALID_ARGUMENT|FAILED_PRECONDITION/);
    expect(world.valkey.servers.get("127.0.0.1:7002")?.shards[0]?.size).toBe(0);
  });

  it("stops at a key that somebody writes after its preflight, and leaves that as it is", async () => {
    const theirs = { type: 0, expireTimeMs: -1, value: Uint8Array.from(encodeString("theirs")) };
    const target = world.valkey.servers.get("127.0.0.1:7002")?.shards[0];
    onLoad((load) => async (...args) => {
      target?.set(keyName(0, "key-0"), theirs);
      return await load(...args);
    });
    const operation = await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(operation?.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/the target has a key already: someone else writes there/),
    });
    expect(target?.get(keyName(0, "key-0"))).toEqual(theirs);
  });

  it("is refused while its target is being backed up, or half of it would be the newest verified backup", async () => {
    await world.events.publish({ type: "backup.v1.requested", data: { instance: "copy" }, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    world.events.take(); // its shards wait
    const operation = await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(operation?.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/^instances\/copy is being backed up by operations\/backup-/),
    });
    const again = await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(again?.error).toBeUndefined();
  });

  it("and a backup of its target are not both admitted when they are asked for at the same moment", async () => {
    await ask("backup.v1.requested", { instance: "copy" });
    await world.clock.advance(60_000);
    await world.events.publish({ type: "backup.v1.requested", data: { instance: "copy" }, attributes: {} });
    const data = { instance: "copy", backup: nightly, allowShrink: true };
    await world.events.publish({ type: "restore.v1.requested", data, attributes: {} });
    await Promise.all(world.events.take().map((message) => world.deliver(message)));
    const last = (await operations()).filter(({ createTime }) => createTime > "2026-01-01T00:00:30.000Z");
    expect(last.map(({ error }) => error?.code).sort()).toEqual(["FAILED_PRECONDITION", undefined]);
  });

  it("names the connections of each part apart: the fence of one must not cut another", async () => {
    const seen: LoadOptions[] = [];
    onLoad((load) => async (instance, source, options, signal) => {
      seen.push(options);
      return await load(instance, source, options, signal);
    });
    await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(seen).toHaveLength(2);
    expect(new Set(seen.map((options) => JSON.stringify({ ...options, onProgress: undefined }))).size).toBe(2);
  });

  it("into a cluster whose slots begin to move is counted once they rest, and keeps nodes to ask in place of its endpoint", async () => {
    const target: Instance = { ...instanceOf("spread", "127.0.0.1:7003"), mode: "CLUSTER" };
    const shard = { runId: "run", databases: {}, expiredKeys: 0 };
    const shards = [7003, 7004].map((port) => ({ ...shard, endpoint: `127.0.0.1:${port}`, node: `node-${port}` }));
    Object.assign(world.valkey.start(target.endpoint), { answers: { mode: "CLUSTER", shards } });
    await register(world, target);
    let looks = 0;
    world.ports.valkey.shardCount = async () => {
      if (++looks === 2) throw new StatusError("FAILED_PRECONDITION", "slots are moving at 127.0.0.1:7003");
      return 2;
    };
    const operation = await ask("restore.v1.requested", { instance: "spread", backup: nightly, allowShrink: true });
    expect(operation?.error).toBeUndefined();
    expect(operation?.done).toBe(true);
    expect(looks).toBe(4); // the plan's; the one that refused; before and after the count
    expect((await world.ports.store.get<Instance>(target.name))?.data.seeds).toEqual([
      { endpoint: "127.0.0.1:7004", node: "node-7004" },
    ]);
  });

  it("goes well when a key of a first attempt has expired at the second, and the server has not yet removed it", async () => {
    await begin(1, later);
    let attempts = 0;
    onLoad((load) => async (instance, source, options, signal) => {
      const result = await load(instance, source, options, signal);
      if (attempts++ > 0) return result;
      world.clock.jump(2 * 3600_000); // the retry comes after the keys' time
      throw new StatusError("UNAVAILABLE", "the link broke");
    });
    const operation = await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(operation?.error).toBeUndefined();
  });

  it("goes well when keys expire while it is loaded, before their turn has come", async () => {
    await begin(1, Date.UTC(2026, 0, 1) + 30_000);
    onLoad((load) => async (instance, source, options, signal) => {
      const result = await load(instance, source, options, signal);
      // RESTORE with ABSTTL in the past answers OK, creates nothing, and expired_keys does not count it (see cluster.c)
      const target = world.valkey.servers.get("127.0.0.1:7002")?.shards[0];
      for (const [name, { expireTimeMs }] of target ?? []) if (expireTimeMs !== -1) target?.delete(name);
      return result;
    });
    const operation = await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(operation?.error).toBeUndefined();
  });

  it("whose first attempt reached nobody overwrites nothing at the second: a key that is there is somebody else's", async () => {
    const target = world.valkey.servers.get("127.0.0.1:7002")?.shards[0];
    let attempts = 0;
    onLoad((load) => async (...args) => {
      if (++attempts > 2) return await load(...args);
      target?.set(keyName(0, "key-0"), { type: 0, expireTimeMs: -1, value: Uint8Array.from(encodeString("theirs")) });
      throw new StatusError("UNAVAILABLE", "connection refused");
    });
    const operation = await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect(operation?.error?.code).toBe("FAILED_PRECONDITION");
    expect(Buffer.from(target?.get(keyName(0, "key-0"))?.value ?? []).toString()).toContain("theirs");
  });

  it("is not backed up in its midst: a half instance must not become the newest verified backup", async () => {
    let during: Operation | undefined;
    onLoad((load) => async (instance, source, options, signal) => {
      if (during === undefined) {
        during = (await operations())[0];
        await world.events.publish({
          type: "backup.v1.requested",
          data: { instance: "copy", backupId: "half" },
          attributes: {},
        });
        const message = world.events.take().find(({ type }) => type === "backup.v1.requested") as PublishedMessage;
        await world.deliver(message);
      }
      return await load(instance, source, options, signal);
    });
    await ask("restore.v1.requested", { instance: "copy", backup: nightly, allowShrink: true });
    expect((await world.ports.store.get<Backup>(backupName("copy", "half")))?.data).toBeUndefined();
  });
});

describe("a restore that is admitted in the midst of the admission of a backup of its target", () => {
  it.each([
    ["the first", [], "copy"],
    ["a further", ["before"], "copy"],
    ["another instance's", [], "twin"],
  ])("keeps %s backup from being taken: what it found free is so no more", async (_, earlier, instance) => {
    await register(world, instanceOf("twin", "127.0.0.1:7002"));
    for (const backupId of earlier) await ask("backup.v1.requested", { instance: "copy", backupId });
    const { store } = world.ports;
    const { commit } = store;
    const half = backupName("copy", "half");
    let isMet = false;
    store.commit = async (writes) => {
      if (!isMet && writes.some(({ path }) => path === half)) {
        isMet = true;
        const data = { instance, backup: nightly, allowShrink: true };
        await world.events.publish({ type: "restore.v1.requested", data, attributes: {} });
        for (const message of world.events.take()) await world.deliver(message);
      }
      await commit(writes);
    };
    const operation = await ask("backup.v1.requested", { instance: "copy", backupId: "half" });
    expect(isMet).toBe(true);
    expect(operation?.error?.message).toMatch(/^instances\/copy is being restored by operations\/restore-/);
    expect((await store.get<Backup>(half))?.data).toBeUndefined();
    expect((await operations()).find(({ verb }) => verb === "restore")?.error).toBeUndefined();
  });
});

describe("a deletion", () => {
  it.each(["9999999d", "999999999999w"])("with a grace of %s keeps the backup, or is refused", async (grace) => {
    const operation = await ask("deletion.v1.requested", { backup: nightly, grace });
    const found = (await world.ports.store.get<Backup>(nightly))?.data;
    expect(operation?.error === undefined || operation.error.code === "INVALID_ARGUMENT").toBe(true);
    await ask("sweep.v1.requested", { requestId: "s" });
    expect((await world.ports.store.get<Backup>(nightly))?.data).toMatchObject({ state: found?.state });
  });
});

describe("a sweep", () => {
  it("comes to the others behind a hundred that cannot be erased", async () => {
    const { store, objects } = world.ports;
    const doc = await store.get<Backup>(nightly);
    const past = "2025-01-01T00:00:00.000Z";
    for (let n = 0; n < 101; n++) {
      const name = backupName("aaa", `b${n}`);
      await store.commit([
        {
          kind: "create",
          path: name,
          data: { ...doc?.data, name, operation: "operations/x", state: "DELETING", purgeTime: past, reviewTime: past },
        },
      ]);
      await objects.create(
        vault,
        `${name}/0.rdb`,
        (async function* () {
          yield Buffer.from("x");
        })(),
        { operation: "operations/x" },
      );
      objects.hold(vault, `${name}/0.rdb`);
    }
    await store.commit([
      {
        kind: "put",
        path: nightly,
        data: { ...doc?.data, state: "DELETING", purgeTime: past, reviewTime: past },
        updateTime: doc?.updateTime ?? "",
      },
    ]);
    for (let n = 0; n < 3; n++) await ask("sweep.v1.requested", { requestId: `s${n}` });
    expect(await store.get(nightly)).toBeUndefined();
  }, 60_000);
});

describe("a failed backup", () => {
  it("is cleaned up once the bucket allows it, however long that takes", async () => {
    const { objects } = world.ports;
    const original = objects.remove;
    world.ports.valkey.snapshot = ((snapshot) =>
      async function* (instance: Instance, task: ShardTask, signal: AbortSignal) {
        if (task.shard === 1) throw new StatusError("PERMISSION_DENIED", "no");
        yield* snapshot(instance, task, signal);
      })(world.ports.valkey.snapshot.bind(world.ports.valkey));
    objects.remove = async () => {
      throw new StatusError("FAILED_PRECONDITION", "a retention policy of 1 day keeps it");
    };
    await world.events.publish({
      type: "backup.v1.requested",
      data: { instance: "orders", backupId: "half" },
      attributes: {},
    });
    await world.settle().catch(() => undefined); // what is deferred may keep it from coming to rest
    await world.clock.advance(26 * 3600_000);
    objects.remove = original;
    for (let n = 0; n < 5; n++) {
      await world.tick();
      await world.settle().catch(() => undefined);
      await ask("sweep.v1.requested", { requestId: `s${n}` });
    }
    const left: string[] = [];
    for await (const { object } of objects.list(vault, backupName("orders", "half"))) left.push(object);
    expect(left).toEqual([]);
  });
});

describe("a lease", () => {
  const envelope = {
    kind: "request",
    operationId: "sweep-0123456789abcdef",
    type: "sweep.v1.requested",
    data: {},
  } as const;

  it("whose first answer was lost late is not believed to last longer than it was written for", async () => {
    const { store, clock } = world.ports;
    let isFirst = true;
    const commit: Ports["store"]["commit"] = async (writes) => {
      await store.commit(writes);
      if (!isFirst) return;
      isFirst = false;
      await clock.sleep(30_000); // the adapter's deadline
      throw new StatusError("UNAVAILABLE", "no answer within 30 s");
    };
    const claimed = claim(envelope, { ...world.ports, store: { ...store, commit } }, timing);
    await clock.advance(30_001);
    const found = await claimed;
    if (typeof found === "string") throw new Error(found);
    const written = Date.parse(found.task.lease.expireTime) - clock.now();
    expect(found.leasedUntil - clock.monotonic()).toBeLessThanOrEqual(written);
  });

  it("of a clock that was hours ahead does not stop its task for hours", async () => {
    const ahead: Ports = { ...world.ports, clock: { ...world.clock, now: () => world.clock.now() + 4 * 3600_000 } };
    await claim(envelope, ahead, timing);
    await world.clock.advance(10 * timing.lease);
    expect(await claim(envelope, world.ports, timing)).not.toBe("later");
  });
});
