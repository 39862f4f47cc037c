import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection, RetentionPolicy } from "../../shared/backup/backup.ts";
import { later, timeOf } from "../../shared/backup/duration.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { backupName, collectionName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { Decision } from "../../shared/backup/retention.ts";
import { inReview, toReview } from "../../shared/backup/review.ts";
import { decideAll } from "../../shared/pipeline/catalogue.ts";
import { backup } from "../backup/catalogue.ts";
import { valkeep, valkeepOn } from "../cli/terminal.ts";
import { change } from "./change.ts";
import { type Fault, faults } from "./crash.ts";
import { fill, register, registered, unscheduled } from "./registered.ts";
import { operationsOf, requested } from "./requested.ts";
import { createWorld, instanceOf, type Plan, type World } from "./world.ts";

const day = 86_400;
let world: World;

beforeEach(() => {
  world = createWorld();
});

const ask = <T extends EventType>(type: T, data: EventMap[T]) => requested(world, type, data);
const sweep = () => ask("sweep.v1.requested", {});
const now = (on = world): string => timeOf(on.clock.now());
const collection = collectionName("orders");

const sweeps = (on = world) => operationsOf(on, "sweep");

async function backups(on = world): Promise<Backup[]> {
  return (await on.ports.store.query<Backup>({ collection: "backups", group: true })).map(({ data }) => data);
}

const inState = async (state: Backup["state"], on = world): Promise<string[]> =>
  (await backups(on)).filter((backup) => backup.state === state).map(({ name }) => name.split("/").at(-1) ?? "");

/** An ACTIVE backup of so many days ago that lives for so many, as the pipeline would have left it. */
function aged(instanceId: string, backupId: string, age: number, life: number, at: string): Backup {
  const createTime = later(at, -age * day);
  return inReview(
    backup(createTime, {
      name: backupName(instanceId, backupId),
      uid: backupId,
      instance: `instances/${instanceId}`,
      expireTime: later(createTime, life * day),
    }),
  );
}

/** Puts down collections of backups that were taken one a day, the youngest today. */
async function put(instanceIds: string[], count: number, life: number, fields: Partial<BackupCollection> = {}) {
  for (const id of instanceIds) {
    const name = collectionName(id);
    const holder = {
      name,
      instance: `instances/${id}`,
      totalBackupCount: count,
      totalBackupSizeBytes: count,
      ...fields,
    };
    const all = Array.from({ length: count }, (_, age) => aged(id, `b${age}`, age, life, now()));
    await world.ports.store.commit(
      [holder, ...all].map((data) => ({ kind: "create", path: data.name, data }) as const),
    );
  }
}

/** How many documents queries and gets have answered since. */
function countReads(on = world): () => number {
  let reads = 0;
  const { store } = on.ports;
  const { get, query } = store;
  store.get = async <T>(path: string) => {
    reads++;
    return await get<T>(path);
  };
  store.query = async <T>(of: Parameters<typeof query>[0]) => {
    const found = await query<T>(of);
    reads += found.filter(({ path }) => path.startsWith("backupCollections/")).length;
    return found;
  };
  return () => reads;
}

describe("what a sweep costs", () => {
  it("does not follow what exists: a hundred collections more in which nothing is due cost nothing more", async () => {
    const reads: number[] = [];
    for (const others of [0, 100]) {
      world = createWorld();
      await put(["orders"], 5, 3.5);
      await put(
        Array.from({ length: others }, (_, n) => `other-${n}`),
        20,
        100,
      );
      const read = countReads();
      await sweep();
      reads.push(read());
      expect(await inState("DELETING")).toEqual(["b4"]);
    }
    expect(reads[1]).toBe(reads[0]);
  });

  it("does not follow what a rule keeps: that is read once, and again when a new backup may push it out", async () => {
    await put(["orders"], 30, 0, { retentionPolicy: { keepDaily: 30 } });
    await sweep();
    expect(await inState("DELETING")).toEqual([]);
    const read = countReads();
    await sweep();
    const idle = read();
    expect((await world.ports.store.get<BackupCollection>(collection))?.data.keepsExpired).toBe(true);
    expect(idle).toBeLessThan(10);

    world.valkey.start("127.0.0.1:7001");
    await register(world, instanceOf("orders", "127.0.0.1:7001"));
    await world.clock.advance(day * 1000);
    await ask("backup.v1.requested", { instance: "orders", backupId: "new" });
    await sweep();
    expect(await inState("DELETING")).toEqual(["b29"]);
  });
});

it("an undelete may push out what a rule kept in its place", async () => {
  await put(["orders"], 2, 0);
  await ask("deletion.v1.requested", { backup: backupName("orders", "b0") });
  await sweep();
  expect(await inState("ACTIVE")).toEqual(["b1"]);
  await ask("undelete.v1.requested", { backup: backupName("orders", "b0") });
  await sweep();
  expect(await inState("DELETING")).toEqual(["b1"]);
});

describe("where the server was started again without its data", () => {
  const endpoint = "127.0.0.1:7001";
  const take = (backupId: string) => ask("backup.v1.requested", { instance: "orders", backupId, ttl: "1d" });

  beforeEach(async () => {
    await register(world, unscheduled());
    fill(world.valkey.start(endpoint, 2), 1); // one of two shards has a key
    for (const backupId of ["full-1", "full-2"]) await take(backupId);
    world.valkey.start(endpoint, 2);
    for (const backupId of ["empty-1", "empty-2"]) await take(backupId);
    await world.clock.advance(2 * day * 1000);
  });

  it("the last backup that holds keys stays beside the newest one, which says so", async () => {
    expect((await valkeepOn(world, "sweep --dry-run")).stdout).toMatch(
      /orders\/full-2 +KEEP +it expired at \S+, but is the newest verified one that holds keys\n/,
    );
    await sweep();
    expect(await inState("ACTIVE")).toEqual(["empty-2", "full-2"]);
  });

  it("it goes once there is another one that holds keys", async () => {
    await sweep();
    fill(world.valkey.start(endpoint, 2), 1);
    await take("new");
    await sweep();
    expect(await inState("ACTIVE")).toEqual(["new"]);
  });
});

describe("a sweep of many collections", () => {
  const ids = Array.from({ length: 60 }, (_, n) => `i${n}`);

  it("goes on in rounds until all is asked for, and says what came of all of them", async () => {
    await put(ids, 4, 2.5);
    await sweep();
    expect((await sweeps()).map(({ done, response }) => ({ done, response }))).toEqual([
      { done: true, response: { expired: 60, erased: 0, deferred: 0 } },
    ]);
    expect(await inState("DELETING")).toHaveLength(60);
    expect((await world.ports.store.query({ collection: "tasks", group: true })).length).toBeGreaterThan(61);
  });

  it("ends in the same place, wherever one of its rounds is stopped", async () => {
    const play = async (plan?: Plan): Promise<World> => {
      world = createWorld();
      await put(ids.slice(0, 45), 3, 1.5);
      world.plan(plan);
      await sweep();
      return world;
    };
    const calm = await play();
    const rounds = calm.deliveries.flatMap(({ effects }, delivery) =>
      effects.includes("store.query") ? [{ delivery, effects }] : [],
    );
    const places = rounds.flatMap(({ delivery, effects }) => {
      const written = effects.flatMap((name, effect) => (name === "store.commit" ? [{ delivery, effect }] : []));
      return [...written.slice(0, 4), ...written.slice(-2)];
    });
    const disturbed: Fault[] = faults.filter((fault) => fault !== "mid");
    for (const { delivery, effect } of places)
      for (const fault of disturbed) {
        const disturbedWorld = await play({ delivery, effect, fault });
        expect([fault, delivery, effect, (await inState("DELETING", disturbedWorld)).length]).toEqual([
          fault,
          delivery,
          effect,
          45,
        ]);
        expect((await sweeps(disturbedWorld)).map(({ response }) => response)).toEqual(
          (await sweeps(calm)).map(({ response }) => response),
        );
      }
    expect(rounds).toHaveLength(2);
  }, 120_000);

  it("stops when it has gone on for too long, and says so; the next one goes on", async () => {
    await put(ids, 3, 1.5);
    const { store } = world.ports;
    const { query } = store;
    let isSlow = true;
    store.query = async <T>(of: Parameters<typeof query>[0]) => {
      if (isSlow && of.collection === "backups") world.clock.jump(46 * 60_000);
      return await query<T>(of);
    };
    await sweep();
    isSlow = false;
    expect((await sweeps())[0]?.response?.left).toBe("more is due; the next sweep goes on");
    const first = (await inState("DELETING")).length;
    await sweep();
    expect([first < 60, (await inState("DELETING")).length]).toEqual([true, 60]);
  });
});

describe("Operations that ended more than 90 days ago", () => {
  /** Puts down so many, each with a Task, that ended so many days ago. */
  async function ended(count: number, days: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const name = `operations/delete-${days}d${n}`;
      const operation = { name, verb: "delete", done: true, endTime: later(now(), -days * day) };
      await world.ports.store.commit([
        { kind: "create", path: name, data: operation },
        { kind: "create", path: `${name}/tasks/deletion.v1.requested`, data: { done: true } },
      ]);
    }
  }

  const left = () => Object.keys(world.ports.store.all()).filter((path) => path.includes("/delete-"));

  it("are forgotten with their Tasks, however many one sweep finds, and no others", async () => {
    await ended(450, 91);
    await ended(1, 89);
    await sweep();
    expect(left()).toEqual(["operations/delete-89d0", "operations/delete-89d0/tasks/deletion.v1.requested"]);
  });

  it.each([
    { seconds: 121, forgotten: 200 },
    { seconds: 70, forgotten: 400 },
  ])("keep a sweep from its work for two minutes where 200 take $seconds s; the next one goes on", async (slow) => {
    await ended(450, 91);
    const { store } = world.ports;
    const { query } = store;
    store.query = async <T>(of: Parameters<typeof query>[0]) => {
      if (of.orderBy?.field === "endTime") await world.clock.advance(1000 * slow.seconds);
      return await query<T>(of);
    };
    await sweep();
    expect(left()).toHaveLength(2 * (450 - slow.forgotten));
    expect((await sweeps())[0]?.error).toBeUndefined();
    store.query = query;
    await sweep();
    expect(left()).toEqual([]);
  });
});

describe("the cap", () => {
  it("holds for one sweep, is told, and the next one goes on", async () => {
    await put(["orders"], 30, 14.5);
    const { exitCode, stdout, stderr } = await valkeepOn(world, "sweep");
    expect([exitCode, (await inState("DELETING")).length]).toEqual([0, 10]);
    expect(stdout).toMatch(/expired: 10\n.*erased: 0\n.*deferred: 5/);
    expect(stderr).toContain("5 are deferred; valkeep sweep --dry-run tells why");
    expect((await valkeepOn(world, "sweep --dry-run")).stdout).toMatch(/orders\/b\d+ +EXPIRE +it expired at/);
    await sweep();
    expect(await inState("DELETING")).toHaveLength(15);
  });

  it("holds though one collection is met in more than one round, which read its catalogue once", async () => {
    await put(["orders"], 70, 4.5);
    const read = countReads();
    await sweep();
    expect(read()).toBeLessThan(200);
    expect(await inState("DELETING")).toHaveLength(14);
    expect((await sweeps())[0]?.response).toEqual({ expired: 14, erased: 0, deferred: 51 });
  });

  it("holds for two sweeps at once together", async () => {
    await put(["orders"], 30, 14.5);
    for (const requestId of ["a", "b"])
      await world.events.publish({ type: "sweep.v1.requested", data: { requestId }, attributes: {} });
    const [first, second] = world.events.take();
    if (first === undefined || second === undefined) throw new Error("two were published");
    const { store } = world.ports;
    const { query } = store;
    let isMet = false;
    store.query = async <T>(of: Parameters<typeof query>[0]) => {
      const found = await query<T>(of);
      if (of.collection === `${collection}/backups` && !isMet) {
        isMet = true;
        await world.deliver(second);
      }
      return found;
    };
    await world.deliver(first);
    await world.settle();
    expect(await inState("DELETING")).toHaveLength(10);
    const totals = (await sweeps()).map(({ response }) => response?.expired);
    expect(totals.sort()).toEqual([0, 10]);
  });

  it("holds for a sweep that begins while the one before it goes on elsewhere", async () => {
    await put(["orders"], 30, 14.5);
    await sweep();
    const goesOn = "operations/sweep-1";
    await world.ports.store.commit([{ kind: "create", path: goesOn, data: { done: false } }]);
    await change<BackupCollection>(world, collection, { sweeping: goesOn });
    await world.events.publish({ type: "sweep.v1.requested", data: { requestId: "b" }, attributes: {} });
    for (const message of world.events.take()) await world.deliver(message);
    expect((await sweeps()).find(({ requestId }) => requestId === "b")?.response?.expired).toBe(0);
    await change<Operation>(world, goesOn, { done: true });
    await sweep();
    expect(await inState("DELETING")).toHaveLength(15);
  });
});

describe("a clock", () => {
  it("that jumps backwards between two sweeps lets nothing go, and holds nothing up for long", async () => {
    await put(["orders"], 5, 3.5);
    await sweep();
    expect(await inState("DELETING")).toEqual(["b4"]);
    world.clock.jump(-400 * day * 1000);
    await sweep();
    expect(await inState("DELETING")).toEqual(["b4"]);
    world.clock.jump(401 * day * 1000);
    await sweep();
    expect(await inState("DELETING")).toEqual(["b3"]); // b4 is erased by now
  });

  it("that was ahead for one sweep leaves what a rule kept then to be looked at again", async () => {
    await put(["orders"], 3, 10, { retentionPolicy: { keepLast: 3 } });
    world.clock.jump(20 * day * 1000);
    await sweep();
    world.clock.jump(-20 * day * 1000);
    await valkeep("collections update orders --keep-last=0", { ports: world.ports });
    await sweep();
    expect((await backups()).map(({ reviewTime, expireTime }) => reviewTime === expireTime)).toEqual([
      true,
      true,
      true,
    ]);
    await world.clock.advance(11 * day * 1000);
    await sweep();
    expect(await inState("ACTIVE")).toEqual(["b0"]);
  });

  it("of whoever asks for the sweep may be ahead: the function's own decides", async () => {
    await put(["orders"], 3, 10);
    const { clock } = world.ports;
    const ahead = { ...clock, now: () => clock.now() + 1000 * day * 1000 };
    await valkeep("sweep --async", { ports: { ...world.ports, clock: ahead } });
    await world.settle();
    expect([await inState("DELETING"), (await sweeps())[0]?.response?.expired]).toEqual([[], 0]);
  });
});

it("a collection that changes in the midst of a sweep is left to the next one", async () => {
  await put(["orders", "users"], 3, 1.5);
  const { store } = world.ports;
  const { query } = store;
  let isChanged = false;
  store.query = async <T>(of: Parameters<typeof query>[0]) => {
    const found = await query<T>(of);
    if (of.collection === `${collection}/backups` && !isChanged) {
      isChanged = true;
      const doc = await store.get<BackupCollection>(collection);
      if (doc === undefined) throw new Error("it is gone");
      const data = toReview({ ...doc.data, retentionPolicy: { keepLast: 3 } }, now());
      await store.commit([{ kind: "put", path: collection, data, updateTime: doc.updateTime }]);
    }
    return found;
  };
  await sweep();
  const down = (await backups()).filter(({ state }) => state === "DELETING").map(({ name }) => name);
  expect(down).toEqual([backupName("users", "b2")]);
  await sweep();
  expect(await inState("DELETING")).toEqual(["b2"]);
});

it.each<[string, object, RegExp]>([
  [
    "an unknown time zone",
    { timeZone: "Mars/Base" },
    /stays while its policy is not valid \(.*unknown time zone "Mars\/Base"/,
  ],
  ["a time zone that is none", { timeZone: 7 }, /unknown time zone "7"/],
  ["contradicting rules", { keepLast: 1, minimumRedundancy: 5 }, /keepLast 1 contradicts minimumRedundancy 5/],
  ["no redundancy: it would take everything", { minimumRedundancy: 0 }, /would let the last backup go/],
  ["a count that is none", { keepDaily: "7" }, /keepDaily 7: expected a whole number/],
])("a stored policy with %s keeps everything, says why, and stops no other collection", async (_name, policy, reason) => {
  await put(["orders"], 3, 1.5, { retentionPolicy: policy as RetentionPolicy });
  await put(["users"], 3, 1.5);
  await sweep();
  const down = (await backups()).filter(({ state }) => state === "DELETING").map(({ name }) => name);
  expect(down).toEqual([backupName("users", "b2")]);
  expect((await valkeepOn(world, "sweep --dry-run")).stdout).toMatch(reason);
  await valkeep("collections update orders --keep-last=0 --keep-daily=0 --minimum-redundancy=1 --time-zone=UTC", world);
  await sweep();
  expect(await inState("DELETING")).toEqual(["b2", "b2"]);
});

describe("for every history", () => {
  type Act =
    | { kind: "backup" }
    | { kind: "sweep" }
    | { kind: "wait"; days: number }
    | { kind: "restart"; keys: number }
    | Aimed
    | { kind: "policy"; policy: RetentionPolicy };
  type Aimed = { kind: "delete" | "undelete" | "hold" | "release" | "expire"; at: number };
  const aimed = fc.record({
    kind: fc.constantFrom<Aimed["kind"]>("delete", "undelete", "hold", "release", "expire"),
    at: fc.nat(5),
  });
  const policy = fc.record(
    { keepLast: fc.nat(3), keepDaily: fc.nat(3), keepWeekly: fc.nat(2), minimumRedundancy: fc.constant(1) },
    { requiredKeys: [] },
  );
  const act: fc.Arbitrary<Act> = fc.oneof(
    { weight: 4, arbitrary: fc.constant<Act>({ kind: "backup" }) },
    { weight: 4, arbitrary: fc.constant<Act>({ kind: "sweep" }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), days: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("restart" as const), keys: fc.nat(1) }) },
    { weight: 6, arbitrary: aimed },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("policy" as const), policy }) },
  );

  /** What deciding over everything would take now. */
  async function wanted(): Promise<string[]> {
    const all: Decision[] = [];
    for await (const some of decideAll(world.ports.store, now(), AbortSignal.timeout(10_000))) all.push(...some);
    return all
      .filter(({ action }) => action === "EXPIRE" || action === "ERASE")
      .map(({ backup }) => backup)
      .sort();
  }

  /** What the sweep asks for. */
  async function taken(): Promise<string[]> {
    const before = new Set((await world.ports.store.query({ collection: "operations" })).map(({ path }) => path));
    await sweep();
    const all = await world.ports.store.query<Operation>({ collection: "operations" });
    return all
      .filter(({ path, data }) => !before.has(path) && (data.verb === "delete" || data.verb === "erase"))
      .map(({ data }) => data.target)
      .sort();
  }

  async function perform(step: Act): Promise<void> {
    if (step.kind === "backup") return await ask("backup.v1.requested", { instance: "orders", ttl: "2d" });
    if (step.kind === "wait") return await world.clock.advance(step.days * day * 1000);
    if (step.kind === "restart") return fill(world.valkey.start("127.0.0.1:7001"), step.keys);
    if (step.kind === "sweep") return expect(await taken()).toEqual(expected);
    if (step.kind === "policy") {
      const doc = await world.ports.store.get<BackupCollection>(collection);
      if (doc === undefined) return;
      const data = toReview({ ...doc.data, retentionPolicy: step.policy }, now());
      return await world.ports.store.commit([{ kind: "put", path: collection, data, updateTime: doc.updateTime }]);
    }
    const all = await backups();
    const { name = "" } = all[step.at % Math.max(all.length, 1)] ?? {};
    if (name === "") return;
    const requests = {
      delete: () => ask("deletion.v1.requested", { backup: name, grace: "1h" }),
      undelete: () => ask("undelete.v1.requested", { backup: name }),
      hold: () => ask("hold.v1.requested", { backup: name, reason: "r" }),
      release: () => ask("release.v1.requested", { backup: name }),
      expire: () => ask("expiry.v1.requested", { backup: name, expireTime: later(now(), (step.at % 3) * day) }),
    };
    await requests[step.kind]();
  }

  let expected: string[] = [];

  it("the sweep that reads little takes what deciding over everything would take", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 8, maxLength: 25 }), async (acts) => {
        world = await registered();
        for (const step of [...acts, { kind: "sweep" } as const]) {
          expected = await wanted();
          await perform(step);
        }
      }),
      { numRuns: 80 },
    );
  }, 120_000);
});
