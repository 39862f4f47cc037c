import { beforeEach, describe, expect, it } from "vitest";
import { steps } from "../../functions/steps.ts";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { jobId } from "../../shared/backup/schedule.ts";
import { StatusError } from "../../shared/error.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import type { Job } from "../../shared/pipeline/ports.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { createWorld, instanceOf, type World } from "./world.ts";

const endpoint = "127.0.0.1:7001";
const hour = 3_600_000;

let world: World;
beforeEach(async () => {
  world = createWorld(); // it is 2026-01-01T00:00:00Z, a Thursday
  world.valkey.start(endpoint);
});

async function register(id = "orders", changes: Partial<Instance["automatedBackupConfig"]> = {}): Promise<Instance> {
  const instance = instanceOf(id, endpoint);
  const automatedBackupConfig = { ...instance.automatedBackupConfig, ...changes };
  await world.ports.store.commit([
    { kind: "create", path: instance.name, data: { ...instance, automatedBackupConfig } },
  ]);
  return instance;
}

async function reconcile(): Promise<Operation> {
  const requestId = world.ports.ids.uuid();
  await world.events.publish({ type: "reconciliation.v1.requested", data: { requestId }, attributes: {} });
  await world.settle();
  const found = (await operations("schedule")).find((operation) => operation.requestId === requestId);
  if (found === undefined) throw new Error("nothing was reconciled");
  return found;
}

const operations = async (verb: string): Promise<Operation[]> =>
  (await world.ports.store.query<Operation>({ collection: "operations", where: [["verb", "==", verb]] })).map(
    ({ data }) => data,
  );
const backups = async (): Promise<Backup[]> =>
  (await world.ports.store.query<Backup>({ collection: "backups", group: true })).map(({ data }) => data);

/** The message of the schedule's job, as it was published at `publishTime`. */
async function slotMessage(publishTime: string): Promise<void> {
  const { type, data } = (await world.ports.scheduler.get(jobId("orders"))) ?? { type: "tick.v1" as const, data: {} };
  const message = {
    type,
    data: Buffer.from(JSON.stringify(data)),
    attributes: {},
    messageId: publishTime,
    publishTime,
  };
  await handle(steps.backup, message, world.ports, timing);
  await world.settle();
}

describe("a reconciliation", () => {
  const healthy = async (): Promise<Job | undefined> => await world.ports.scheduler.get(jobId("orders"));

  beforeEach(async () => {
    await register();
    await reconcile();
  });

  it("makes the job that is missing", async () => {
    expect(await healthy()).toMatchObject({ cron: "0 2 * * *", timeZone: "Etc/UTC", state: "ENABLED" });
    expect((await operations("schedule")).map(({ cause }) => cause)).toContain("valkeep-backup-orders was missing");
  });

  it.each<[string, Partial<Job> | undefined, string]>([
    ["paused", { state: "PAUSED" }, "valkeep-backup-orders was PAUSED"],
    ["deleted", undefined, "valkeep-backup-orders was missing"],
    ["given another cron", { cron: "0 3 * * *" }, "valkeep-backup-orders had another cron"],
    ["given another zone", { timeZone: "Asia/Tokyo" }, "valkeep-backup-orders had another timeZone"],
    ["given another payload", { data: { instance: "users" } }, "valkeep-backup-orders had another data"],
    ["given a payload that is no JSON", { data: "hello" }, "valkeep-backup-orders had another data"],
    ["given another topic", { type: "tick.v1" }, "valkeep-backup-orders had another type"],
  ])("puts a job right that was %s by hand, without anybody touching the instance", async (_, changes, cause) => {
    const before = await healthy();
    if (before === undefined) throw new Error("there is no job");
    await (changes === undefined
      ? world.ports.scheduler.remove(before.id)
      : world.ports.scheduler.put({ ...before, ...changes }));
    expect((await reconcile()).response).toMatchObject({ healed: 1, madeUp: 0 });
    expect(await healthy()).toEqual(before);
    expect((await operations("schedule")).map((operation) => operation.cause)).toContain(cause);
  });

  it("changes nothing where nothing differs", async () => {
    const count = (await operations("schedule")).length;
    expect((await reconcile()).response).toMatchObject({ healed: 0, madeUp: 0 });
    expect(await operations("schedule")).toHaveLength(count + 1);
  });

  it("takes away the jobs of instances that are gone or disabled, and only those", async () => {
    const job = await healthy();
    if (job === undefined) throw new Error("there is no job");
    await register("users", { automatedBackupMode: "DISABLED" });
    await register("carts", { retentionSeconds: 0 });
    for (const id of [
      "valkeep-backup-users",
      "valkeep-backup-carts",
      "valkeep-backup-gone",
      "valkeep-backup-No",
      "nightly",
    ])
      await world.ports.scheduler.put({ ...job, id });
    expect((await reconcile()).response).toMatchObject({ healed: 3, madeUp: 0 });
    expect((await world.ports.scheduler.list()).map(({ id }) => id)).toEqual([
      "nightly",
      "valkeep-backup-No",
      "valkeep-backup-orders",
    ]);
  });
});

describe("a missed run", () => {
  it("is made up for once, and its Operation says why", async () => {
    await register();
    await world.clock.advance(2.5 * hour);
    expect((await reconcile()).response).toMatchObject({ healed: 1, madeUp: 1 });
    expect(await backups()).toMatchObject([{ state: "ACTIVE", backupType: "AUTOMATED" }]);
    expect(await operations("backup")).toMatchObject([
      { cause: "the run that was due at 2026-01-01T02:00:00.000Z was missed" },
    ]);
    for (let round = 0; round < 4; round++) {
      await world.clock.advance(hour / 2);
      expect((await reconcile()).response).toMatchObject({ healed: 0, madeUp: 0 });
    }
    expect(await backups()).toHaveLength(1);
  });

  it("is the same request as its message that comes late, twice", async () => {
    await register();
    await world.clock.advance(2.5 * hour);
    await reconcile();
    for (const second of ["00", "31"]) await slotMessage(`2026-01-01T02:40:${second}.000Z`);
    expect(await backups()).toHaveLength(1);
    expect(await operations("backup")).toHaveLength(1);
  });

  it("is none where the run is there, waits, or has only just come due", async () => {
    await register();
    await reconcile();
    await world.clock.advance(2 * hour + 5 * 60_000);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
    await slotMessage("2026-01-01T02:00:05.000Z");
    await world.clock.advance(hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
  });

  it.each([
    ["registered", { createTime: "2026-01-01T02:20:00.000Z" }, {}],
    ["changed", {}, { changeTime: "2026-01-01T02:20:00.000Z" }],
  ])("is not invented for an instance that was %s since", async (_, instance, config) => {
    const { name, automatedBackupConfig, ...rest } = { ...instanceOf("orders", endpoint), ...instance };
    const data = { ...rest, name, automatedBackupConfig: { ...automatedBackupConfig, ...config } };
    await world.ports.store.commit([{ kind: "create", path: name, data }]);
    await world.clock.advance(2.5 * hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
  });

  it("is the last one only, after an outage of days", async () => {
    await register("orders", { cronSchedule: { cron: "0 * * * *", timeZone: "Asia/Tokyo" } });
    await world.clock.advance(100.5 * hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 1 });
    expect(await operations("backup")).toMatchObject([{ cause: expect.stringContaining("2026-01-05T04:00:00.000Z") }]);
  });

  it("is let go after a month, when its Operation may be forgotten", async () => {
    await register("orders", { cronSchedule: { cron: "0 2 1 1 *", timeZone: "Etc/UTC" } });
    await world.clock.advance(31 * 24 * hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
  });

  it("that failed is asked for once more, and no third time", async () => {
    await register();
    await reconcile();
    await world.clock.advance(2 * hour);
    world.valkey.stop(endpoint);
    await slotMessage("2026-01-01T02:00:05.000Z");
    expect((await operations("backup")).map(({ error }) => error?.code)).toEqual(["UNAVAILABLE"]);
    await world.clock.advance(hour / 2);
    expect((await reconcile()).response).toMatchObject({ madeUp: 1 });
    const [again] = (await operations("backup")).filter(({ cause }) => cause !== undefined);
    expect(again).toMatchObject({
      cause: expect.stringMatching(/02:00:00.000Z failed: operations\/backup-/),
      error: { code: "UNAVAILABLE" },
    });
    world.valkey.start(endpoint);
    await world.clock.advance(hour / 2);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
  });

  it("is not made up for where a person cancelled it", async () => {
    await register();
    await reconcile();
    await world.clock.advance(2 * hour);
    const { store } = world.ports;
    const [message] = await firedMessages();
    if (message === undefined) throw new Error("no message");
    world.valkey.stop(endpoint);
    await world.deliver(message);
    const [operation] = await operations("backup");
    await endOperation({ ...world.ports, store }, operation?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    await world.clock.advance(hour / 2);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
  });

  async function firedMessages() {
    await world.ports.scheduler.run(jobId("orders"));
    return world.events.take();
  }

  it("is not found again by a clock that jumps back, nor lost by it", async () => {
    await register();
    await reconcile();
    await world.clock.advance(26.5 * hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 1 });
    world.clock.jump(-1 * hour); // 01:30 of the second day: the run of the first day was never asked for, and is overdue
    expect((await reconcile()).response).toMatchObject({ madeUp: 1 });
    world.clock.jump(-24 * hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
    world.clock.jump(25 * hour);
    expect((await reconcile()).response).toMatchObject({ madeUp: 0 });
    expect(await backups()).toHaveLength(2);
  });

  it.each([
    ["in the gap of spring", "2026-03-29", "2026-03-29T01:00:00.000Z"],
    ["in the doubled hour of autumn", "2026-10-25", "2026-10-25T00:30:00.000Z"],
  ])("of 02:30 %s is one run", async (_, date, slot) => {
    const eve = Date.parse(`${date}T00:00:00.000Z`);
    world.clock.jump(eve - world.clock.now());
    await register("orders", {
      cronSchedule: { cron: "30 2 * * *", timeZone: "Europe/Berlin" },
      changeTime: `${date}T00:00:00.000Z`,
    });
    for (let round = 0; round < 8; round++) {
      await world.clock.advance(hour / 2 + 13 * 60_000);
      await reconcile();
    }
    expect((await operations("backup")).map(({ cause }) => cause)).toEqual([
      `the run that was due at ${slot} was missed`,
    ]);
  });

  it("is asked for once by two reconciliations at once, each of whose messages comes twice", async () => {
    await register();
    await world.clock.advance(2.5 * hour);
    for (const requestId of ["one", "two"])
      await world.events.publish({ type: "reconciliation.v1.requested", data: { requestId }, attributes: {} });
    const messages = world.events.take();
    await Promise.all([...messages, ...messages].map((message) => world.deliver(message)));
    await world.settle({ isTwice: true });
    expect(await operations("backup")).toHaveLength(1);
    expect(await backups()).toMatchObject([{ state: "ACTIVE" }]);
    expect(await world.ports.scheduler.list()).toHaveLength(1);
  });
});

it.each([
  ["with a field that nobody knows", { force: true }, /force/],
  ["of a schedule that never comes", { schedule: { cron: "0 0 31 2 *", timeZone: "Etc/UTC" } }, /never comes due/],
  ["with a request id that is no text", { requestId: 7 }, /requestId/],
])("a request for a reconciliation %s is refused, and touches nothing", async (_, data, reason) => {
  await register();
  await world.events.publish({ type: "reconciliation.v1.requested", data, attributes: {} });
  await world.settle();
  expect(await operations("schedule")).toMatchObject([
    { done: true, error: { code: "INVALID_ARGUMENT", message: expect.stringMatching(reason) } },
  ]);
  expect(await world.ports.scheduler.list()).toEqual([]);
});

it("an instance that cannot be understood fails the reconciliation, and holds up no other", async () => {
  await register("broken", { cronSchedule: { cron: "0 2 * *", timeZone: "Etc/UTC" } });
  await register("orders");
  await world.clock.advance(2.5 * hour);
  const { error } = await reconcile();
  expect(error).toMatchObject({
    code: "INVALID_ARGUMENT",
    message: expect.stringMatching(/^instances\/broken: .*five fields/),
  });
  expect((await world.ports.scheduler.list()).map(({ id }) => id)).toEqual(["valkeep-backup-orders"]);
  expect(await backups()).toHaveLength(1);
});

it("a reconciliation of a fleet lists the jobs once and reads by pages and batches", async () => {
  const count = 450;
  for (let n = 0; n < count; n++) await register(`i-${n}`);
  await world.clock.advance(2.5 * hour);
  const calls: Record<string, number> = {};
  const counted = <T extends object>(port: T): T =>
    new Proxy(port, {
      get: (target, name) => {
        const method: unknown = Reflect.get(target, name);
        if (typeof method !== "function") return method;
        return (...args: unknown[]) => {
          calls[String(name)] = (calls[String(name)] ?? 0) + 1;
          return method.apply(target, args);
        };
      },
    });
  const { store, scheduler } = world.ports;
  const message = {
    type: "reconciliation.v1.requested" as const,
    messageId: "m",
    publishTime: "",
    attributes: {},
    data: Buffer.from("{}"),
  };
  await handle(
    steps.schedule,
    message,
    { ...world.ports, store: counted(store), scheduler: counted(scheduler) },
    timing,
  );
  expect(calls).toMatchObject({ list: 1, query: 3 });
  expect(calls.getAll).toBeLessThan(count / 50 + 10);
  expect((await operations("schedule")).find(({ response }) => response !== undefined)?.response).toEqual({
    healed: count,
    madeUp: count,
    startedEarly: 0,
  });
});
