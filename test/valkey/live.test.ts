import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type StepFunction, steps } from "../../functions/steps.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { selectionObject } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { routes } from "../../shared/backup/route.ts";
import { conflictPolicies, expiryPolicies } from "../../shared/backup/selection.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { fillOneDatabase, fingerprint } from "../fixture/dataset.ts";
import { createWorld, inbox, instanceOf, vault, type World } from "../pipeline/world.ts";
import { send } from "./client.ts";
import { diskless, snapshotOf, valkey } from "./fixture.ts";

/** Restores of single keys into a real server; documents, objects and messages are in memory, time is real. */
let target: ValkeyServer;
let world: World;
let ports: Ports;

beforeAll(async () => {
  target = await startValkey({ version: "8.0", args: diskless });
});
afterAll(() => target?.stop());
beforeEach(async () => {
  await send(target.endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"]);
  world = createWorld();
  const clock = {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        signal?.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
  ports = { ...world.ports, clock, valkey };
  const instance = instanceOf("copy", target.endpoint);
  await ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
});

/** Asks, has every message handled, and answers the Operation. */
async function done<T extends EventType>(type: T, data: EventMap[T]): Promise<Operation> {
  const name = await submit(ports, type, data);
  for (let messages = world.events.take(); messages.length > 0; messages = world.events.take())
    for (const message of messages) {
      const names = Object.keys(steps) as StepFunction[];
      const taker = names.find((one) => (routes[one] as readonly string[]).includes(message.type));
      const bytes = Buffer.from(JSON.stringify(message.data));
      const incoming = { ...message, data: bytes, publishTime: new Date().toISOString() };
      if (taker !== undefined) await handle(steps[taker], incoming, ports, timing);
    }
  const found = (await ports.store.get<Operation>(name))?.data;
  if (found?.done !== true) throw new Error(`${name} is not done: ${JSON.stringify(found?.progress)}`);
  return found;
}

async function restore(
  file: Uint8Array,
  keys: string,
  data: Partial<EventMap["selection.v1.requested"]>,
): Promise<Operation> {
  const id = `${ports.ids.uuid()}-pattern`;
  const object = `${id}.rdb`;
  await ports.objects.create(inbox, object, once(file), {});
  const selection = selectionObject(id);
  await ports.objects.create(vault, selection, once(Buffer.from(JSON.stringify({ keys }))), { selection: id });
  const gcsSourceUris = [`gs://${inbox}/${object}`];
  return await done("selection.v1.requested", { instance: "copy", gcsSourceUris, selection, execute: true, ...data });
}

const undo = ({ name }: Operation) => done("undo.v1.requested", { restore: name, execute: true });

const past = Date.UTC(2026, 0, 1);
const future = Date.UTC(2100, 0, 1);
const key = fc.record({
  name: fc.constantFrom("user:1", "user:2", "user:3", "other:1"),
  text: fc.constantFrom("a", "b"),
  expireTimeMs: fc.constantFrom(-1, past, future, future + 1000),
});
type Key = { name: string; text: string; expireTimeMs: number };
const keyspace = fc.uniqueArray(key, { selector: ({ name }) => name, maxLength: 4 });
const liveKeyspace = keyspace.map((keys) => keys.filter(({ expireTimeMs }) => expireTimeMs !== past));

async function held(): Promise<Record<string, { text: string; expireTimeMs: number }>> {
  const names = ((await send(target.endpoint, ["KEYS", "*"])) as Buffer[]).map(String).sort();
  const all: Record<string, { text: string; expireTimeMs: number }> = {};
  for (const name of names) {
    const text = String(await send(target.endpoint, ["GET", name]));
    all[name] = { text, expireTimeMs: Number(await send(target.endpoint, ["PEXPIRETIME", name])) };
  }
  return all;
}

async function fill(keys: readonly Key[]): Promise<void> {
  await send(target.endpoint, ["FLUSHALL"]);
  for (const { name, text, expireTimeMs } of keys)
    await send(target.endpoint, ["SET", name, text, ...(expireTimeMs === -1 ? [] : ["PXAT", expireTimeMs])]);
}

const fileOf = (keys: readonly Key[]): Uint8Array =>
  writeRdb(
    { magic: "REDIS", rdbVersion: 11 },
    keys.map(({ name, text, expireTimeMs }) => ({
      kind: "record",
      ...{ db: 0, key: Buffer.from(name), type: 0, value: encodeString(text), expireTimeMs },
    })),
  );

describe.each(conflictPolicies)("keys restored into a real server with the policy %s", (conflictPolicy) => {
  it.each(
    expiryPolicies,
  )("and expiry %s are as a model says, and as before once that is undone", async (expiryPolicy) => {
    await fc.assert(
      fc.asyncProperty(keyspace, liveKeyspace, async (backedUp, live) => {
        await fill(live);
        const before = await held();
        const operation = await restore(fileOf(backedUp), "user:*", { conflictPolicy, expiryPolicy });
        const snapshot = Date.parse(operation.selection?.files[0]?.snapshotTime ?? "");
        const shift = Math.max(0, Date.parse(operation.createTime) - snapshot);
        const wanted = backedUp.filter(({ name, expireTimeMs }) => name.startsWith("user:") && expireTimeMs !== past);
        const isRefused = conflictPolicy === "FAIL" && wanted.some(({ name }) => before[name] !== undefined);
        expect(operation.error?.code).toBe(isRefused ? "FAILED_PRECONDITION" : undefined);
        const model = { ...before };
        for (const { name, text, expireTimeMs } of isRefused ? [] : wanted) {
          const moved = expiryPolicy === "SHIFT" ? expireTimeMs + shift : expireTimeMs;
          const time = expireTimeMs === -1 || expiryPolicy === "PERSIST" ? -1 : moved;
          if (before[name] === undefined || conflictPolicy === "REPLACE") model[name] = { text, expireTimeMs: time };
        }
        expect(await held()).toEqual(model);
        if (isRefused) return;
        expect((await undo(operation)).error).toBeUndefined();
        expect(await held()).toEqual(before);
      }),
      { numRuns: 15 },
    );
  });
});

describe("keys of every type", () => {
  it.each([
    "8.0",
    "9.1",
    "redis-7.0",
  ] as const)("from %s replace those that are there, and come back by an undo, all as they were", async (version) => {
    const source = await startValkey({ version, args: diskless });
    const receiver = version === "8.0" ? target : await startValkey({ version, args: diskless });
    try {
      if (receiver !== target) {
        const instance = instanceOf("copy", receiver.endpoint);
        const doc = await ports.store.get(instance.name);
        await ports.store.commit([
          { kind: "put", path: instance.name, data: instance, updateTime: doc?.updateTime ?? "" },
        ]);
      }
      await fillOneDatabase(source.endpoint);
      await fillOneDatabase(receiver.endpoint);
      await send(receiver.endpoint, ["SELECT", 0], ["DEL", "string:short"], ["SET", "only:here", "stays"]);
      const names = ((await send(receiver.endpoint, ["KEYS", "*"])) as Buffer[]).filter(
        (name) => !/^only/.test(String(name)),
      );
      for (const name of names.slice(0, 400)) await send(receiver.endpoint, ["PEXPIREAT", name, future + 77]);
      const before = await fingerprint(receiver.endpoint);
      const file = await snapshotOf(source.endpoint);
      const operation = await restore(file, "*", { conflictPolicy: "REPLACE", database: 0 });
      expect(operation.error).toBeUndefined();
      expect(operation.response).toMatchObject({ created: 1, skipped: 0, changed: 0 });
      await send(receiver.endpoint, ["DEL", "only:here"]);
      const after = await fingerprint(receiver.endpoint);
      expect(after).toEqual(await fingerprint(source.endpoint));
      await send(receiver.endpoint, ["SET", "only:here", "stays"]);
      expect((await undo(operation)).response).toMatchObject({ deleted: 1, changed: 0 });
      expect(await fingerprint(receiver.endpoint)).toEqual(before);
    } finally {
      await source.stop();
      if (receiver !== target) await receiver.stop();
    }
  });

  it("are known again by the undo although the server has laid them down in another way", async () => {
    const source = await startValkey({ version: "8.0", args: ["--hash-max-listpack-entries", "0", ...diskless] });
    try {
      await send(
        source.endpoint,
        ["HSET", "user:h", "f", "1", "g", "2"],
        ["SADD", "user:s", ...Array.from({ length: 900 }, (_, n) => `m${n}`)],
      );
      await send(target.endpoint, ["HSET", "user:h", "f", "live"]);
      const operation = await restore(await snapshotOf(source.endpoint), "user:*", { conflictPolicy: "REPLACE" });
      expect(operation.response).toMatchObject({ created: 1, replaced: 1 });
      expect((await undo(operation)).response).toMatchObject({ restored: 1, deleted: 1, changed: 0 });
      expect(String(await send(target.endpoint, ["HGETALL", "user:h"]))).toBe("f,live");
    } finally {
      await source.stop();
    }
  });
});
