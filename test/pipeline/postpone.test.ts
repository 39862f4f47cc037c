import { beforeEach, describe, expect, it } from "vitest";
import { steps } from "../../functions/steps.ts";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import { emptyCollection } from "../../shared/backup/collection.ts";
import type { EventMap } from "../../shared/backup/event.ts";
import type { MaintenancePolicy } from "../../shared/backup/maintenance.ts";
import { changedMaintenance } from "../../shared/backup/maintenance-flags.ts";
import { collectionName } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { scheduledRequest } from "../../shared/pipeline/runs.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { createWorld, instanceOf, type World } from "./world.ts";

const endpoint = "127.0.0.1:7001";
const minute = 60_000;
const hourly = { cron: "0 * * * *", timeZone: "Etc/UTC" };

let world: World;
beforeEach(() => {
  world = createWorld(); // it is Thursday, 2026-01-01T00:00:00Z
  world.valkey.start(endpoint);
});

async function register(changes: Partial<Instance>): Promise<void> {
  const instance = { ...instanceOf("orders", endpoint), ...changes };
  await world.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
}

async function change(changes: Partial<Instance>): Promise<void> {
  const doc = await world.ports.store.get<Instance>("instances/orders");
  if (doc === undefined) throw new Error("there is no instance");
  const data = { ...doc.data, ...changes };
  await world.ports.store.commit([{ kind: "put", path: doc.path, data, updateTime: doc.updateTime }]);
}

const windowed = (windows: string, backupPolicy = "avoid"): { maintenancePolicy: MaintenancePolicy } => {
  const maintenancePolicy = changedMaintenance(undefined, {
    maintenanceWindow: windows,
    maintenanceBackupPolicy: backupPolicy,
  });
  if (maintenancePolicy === undefined) throw new Error("no policy");
  return { maintenancePolicy };
};

const scheduled = (cronSchedule: typeof hourly) => ({
  automatedBackupConfig: { automatedBackupMode: "ENABLED" as const, retentionSeconds: 86_400, cronSchedule },
});

/** Asks as the schedule's job does, at this moment. */
async function fire(schedule = hourly, ports: Ports = world.ports): Promise<void> {
  await ask(scheduledRequest("orders", schedule), ports);
}

async function ask(data: EventMap["backup.v1.requested"], ports: Ports = world.ports): Promise<void> {
  const publishTime = new Date(world.clock.now()).toISOString();
  const message = {
    type: "backup.v1.requested" as const,
    messageId: publishTime,
    publishTime,
    attributes: {},
    data: Buffer.from(JSON.stringify(data)),
  };
  await handle(steps.backup, message, ports, timing);
  await world.settle();
}

/** Time passes, the relay ticking as it does. */
async function pass(minutes: number): Promise<void> {
  for (let n = 0; n < minutes; n++) {
    await world.clock.advance(minute);
    await world.tick();
    await world.settle();
  }
}

const operations = async (): Promise<Operation[]> =>
  (await world.ports.store.query<Operation>({ collection: "operations", where: [["verb", "==", "backup"]] }))
    .map(({ data }) => data)
    .sort((a, b) => (a.createTime < b.createTime ? -1 : 1));
const only = async (): Promise<Operation> => {
  const [operation, ...others] = await operations();
  if (operation === undefined || others.length > 0)
    throw new Error(`expected one operation, found ${others.length + 1}`);
  return operation;
};
const tasks = async (): Promise<Task[]> =>
  (await world.ports.store.query<Task>({ collection: "tasks", group: true })).map(({ data }) => data);
const backups = async (): Promise<Backup[]> =>
  (await world.ports.store.query<Backup>({ collection: "backups", group: true })).map(({ data }) => data);
const collection = async () => (await world.ports.store.get<BackupCollection>(collectionName("orders")))?.data;

describe("a scheduled backup in a maintenance window", () => {
  beforeEach(async () => await register(windowed("wed:23:00-thu:00:30")));

  it("waits for its end, says so, and then is taken", async () => {
    await fire();
    expect(await only()).toMatchObject({
      done: false,
      postponed: {
        until: "2026-01-01T00:30:00.000Z",
        reason: "the maintenance window from 2025-12-31T23:00:00.000Z to 2026-01-01T00:30:00.000Z",
      },
      deadlineTime: "2026-01-01T06:30:00.000Z",
    });
    await pass(28);
    expect(await backups()).toEqual([]);
    await pass(2);
    expect(await only()).toMatchObject({ done: true, response: { backup: expect.any(String) } });
    expect(await backups()).toMatchObject([
      { state: "ACTIVE", backupType: "AUTOMATED", createTime: "2026-01-01T00:30:00.000Z" },
    ]);
  });

  it("holds neither the collection's lock, nor a lease, nor an attempt", async () => {
    await fire();
    expect(await collection()).toBeUndefined();
    expect(await only()).toMatchObject({ holds: [] });
    expect(await tasks()).toMatchObject([
      {
        attempt: 0,
        done: false,
        relayTime: "2026-01-01T00:30:00.000Z",
        lease: { epoch: 1, expireTime: "2026-01-01T00:00:00.000Z" },
      },
    ]);
    await ask({ instance: "orders", backupId: "by-hand" });
    expect(await backups()).toMatchObject([{ state: "ACTIVE", backupType: "ON_DEMAND" }]);
  });

  it("waits once, however often its message comes meanwhile", async () => {
    await fire();
    const before = await only();
    for (let n = 0; n < 15; n++) {
      await fire();
      await world.clock.advance(minute);
    }
    expect(await only()).toEqual(before);
    expect((await tasks())[0]?.attempt).toBe(0);
    await pass(15);
    expect(await backups()).toHaveLength(1);
  });

  it("moves its deadline once where the answer to the commit is lost", async () => {
    const { store } = world.ports;
    let commits = 0;
    const commit: Ports["store"]["commit"] = async (writes) => {
      await store.commit(writes);
      if (++commits === 2) throw new StatusError("UNKNOWN", "the answer was lost");
    };
    const clock = {
      ...world.clock,
      sleep: async (milliseconds: number) => void (await world.clock.advance(milliseconds)),
    };
    await fire(hourly, { ...world.ports, clock, store: { ...store, commit } });
    expect(commits).toBeGreaterThan(2);
    expect((await only()).deadlineTime).toBe("2026-01-01T06:30:00.000Z");
    expect((await tasks())[0]?.attempt).toBe(0);
  });

  it("can be cancelled while it waits", async () => {
    await fire();
    await endOperation(world.ports, (await only()).name, new StatusError("CANCELLED", "by hand"), true);
    await fire();
    await pass(40);
    expect(await backups()).toEqual([]);
    expect(await only()).toMatchObject({ error: { code: "CANCELLED" } });
    expect((await tasks()).filter(({ relayTime }) => relayTime !== undefined)).toEqual([]);
  });

  it("goes on where it began before the window", async () => {
    await change(windowed("thu:00:01-thu:01:00"));
    world.valkey.stop(endpoint);
    const [publishTime, data] = [new Date(world.clock.now()).toISOString(), scheduledRequest("orders", hourly)];
    const message = { messageId: "m", publishTime, attributes: {}, data: Buffer.from(JSON.stringify(data)) };
    expect(await handle(steps.backup, { type: "backup.v1.requested", ...message }, world.ports, timing)).toBe("later");
    world.valkey.start(endpoint);
    await pass(3);
    expect(await backups()).toMatchObject([{ state: "ACTIVE" }]);
    expect((await only()).postponed).toBeUndefined();
  });

  it("is taken at once where the policy is IGNORE", async () => {
    await change(windowed("wed:23:00-thu:00:30", "ignore"));
    await fire();
    expect(await backups()).toMatchObject([{ createTime: "2026-01-01T00:00:00.000Z" }]);
  });

  it("is taken as asked where a person asks", async () => {
    await ask({ instance: "orders" });
    expect(await backups()).toMatchObject([{ createTime: "2026-01-01T00:00:00.000Z", backupType: "ON_DEMAND" }]);
  });

  it("moves on with a window that was made longer meanwhile", async () => {
    await fire();
    await change(windowed("wed:23:00-thu:01:00"));
    await pass(31);
    expect(await only()).toMatchObject({
      postponed: { until: "2026-01-01T01:00:00.000Z" },
      deadlineTime: "2026-01-01T07:00:00.000Z",
    });
    await pass(30);
    expect(await backups()).toHaveLength(1);
  });
});

describe("several runs in one window", () => {
  it("end in one backup, of the latest; the others say by which they were superseded", async () => {
    await register(windowed("wed:23:00-thu:03:00"));
    await fire();
    for (let n = 0; n < 2; n++) {
      await pass(60);
      await fire();
    }
    expect((await operations()).map(({ done }) => done)).toEqual([false, false, false]);
    await pass(60);
    const [first, second, third] = await operations();
    expect(third).toMatchObject({ done: true, response: { backup: expect.any(String) } });
    for (const earlier of [first, second])
      expect(earlier).toMatchObject({ done: true, response: { supersededBy: third?.name } });
    expect(first?.error ?? second?.error ?? third?.error).toBeUndefined();
    expect(await backups()).toHaveLength(1);
    expect((await tasks()).filter(({ done }) => !done)).toEqual([]);
  });

  it("end in the backup of an earlier one, where the later was cancelled", async () => {
    await register(windowed("wed:23:00-thu:02:00"));
    await fire();
    await pass(60);
    await fire();
    const [, second] = await operations();
    await endOperation(world.ports, second?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    await pass(61);
    expect((await operations()).map(({ response, error }) => Object.keys(response ?? error ?? {})[0])).toEqual([
      "backup",
      "code",
    ]);
  });
});

it.each([
  "DISABLED",
  "kept for no time",
])("a backup that waited is not taken where automated backups are %s meanwhile", async (how) => {
  await register(windowed("wed:23:00-thu:00:30"));
  await fire();
  const { automatedBackupConfig } = instanceOf("orders", endpoint);
  const off = how === "DISABLED" ? { automatedBackupMode: "DISABLED" as const } : { retentionSeconds: 0 };
  await change({ automatedBackupConfig: { ...automatedBackupConfig, ...off } });
  await pass(31);
  const message = expect.stringMatching(/(takes|keeps) no automated backups/);
  expect(await only()).toMatchObject({ error: { code: "FAILED_PRECONDITION", message } });
  expect(await backups()).toEqual([]);
});

it("an automated backup of no schedule is refused where it would be kept for no time", async () => {
  const { automatedBackupConfig } = instanceOf("orders", endpoint);
  await register({ automatedBackupConfig: { ...automatedBackupConfig, retentionSeconds: 0 } });
  await ask({ instance: "orders", backupType: "AUTOMATED" });
  const message = "instances/orders keeps no automated backups: its retention is 0";
  expect(await only()).toMatchObject({ error: { code: "FAILED_PRECONDITION", message } });
});

describe("an instance that is UPDATING", () => {
  beforeEach(async () => await register({ state: "UPDATING" }));

  it("refuses a person's request, and says what ends that", async () => {
    await ask({ instance: "orders" });
    expect(await only()).toMatchObject({
      error: { code: "FAILED_PRECONDITION", message: expect.stringContaining("--state=active") },
    });
  });

  it("has its scheduled backups wait, ten minutes and again, until it is over", async () => {
    await fire();
    expect(await only()).toMatchObject({
      postponed: { until: "2026-01-01T00:10:00.000Z", reason: "instances/orders is UPDATING" },
      deadlineTime: "2026-01-01T06:00:00.000Z",
    });
    await pass(10);
    expect((await only()).postponed?.until).toBe("2026-01-01T00:20:00.000Z");
    await change({ state: "ACTIVE" });
    await pass(10);
    expect(await backups()).toHaveLength(1);
  });

  it("has them wait no longer than their deadline, which says why", async () => {
    await fire();
    await pass(361);
    expect(await only()).toMatchObject({
      error: {
        code: "DEADLINE_EXCEEDED",
        message: expect.stringMatching(/postponed until .*: instances\/orders is UPDATING/),
      },
    });
    expect(await backups()).toEqual([]);
  });
});

it("of runs that waited across a change of the schedule only the latest starts", async () => {
  await register({ ...windowed("wed:23:00-thu:03:00"), ...scheduled(hourly) });
  await fire();
  await pass(30);
  const other = { cron: "15 * * * *", timeZone: "Etc/UTC" };
  await change(scheduled(other));
  await pass(45);
  await fire(other);
  await pass(106);
  const [first, second] = await operations();
  expect(first).toMatchObject({ done: true, response: { supersededBy: second?.name } });
  expect(await backups()).toHaveLength(1);
});

describe("a scheduled backup whose instance is occupied", () => {
  /** An Operation that is still going on. */
  const alive = async (id: string): Promise<string> => {
    const now = new Date(world.clock.now()).toISOString();
    const type = id.startsWith("restore") ? "restore.v1.requested" : "backup.v1.requested";
    const whenever = { until: "2027-01-01T00:00:00.000Z", reason: "nobody works at it here" };
    const data = { ...newOperation(type, { instance: "orders" }, id, now), postponed: whenever, cause: "occupier" };
    const operation = { ...data, deadlineTime: "2027-01-01T00:00:00.000Z" };
    await world.ports.store.commit([{ kind: "create", path: operation.name, data: operation }]);
    return operation.name;
  };
  const end = (name: string) => endOperation(world.ports, name, new StatusError("CANCELLED", "by hand"), true);
  const run = async () => (await operations()).filter(({ cause }) => cause !== "occupier");

  it.each([
    ["a restore", "restore-1", "restored", () => change({ restoring: "operations/restore-1" })],
    [
      "another backup",
      "backup-1",
      "backed up",
      async () => {
        const name = collectionName("orders");
        const own = { instance: "instances/orders", instanceUid: "orders00", location: "asia-northeast1" };
        const data = { ...emptyCollection(own, "2026-01-01T00:00:00.000Z"), creating: "operations/backup-1" };
        await world.ports.store.commit([{ kind: "create", path: name, data }]);
      },
    ],
  ])("by %s for hours is taken once that is over", async (_, id, doing, occupy) => {
    await register({});
    const occupier = await alive(id);
    await occupy();
    await fire({ cron: "0 0 * * *", timeZone: "Etc/UTC" });
    expect(await run()).toMatchObject([
      {
        done: false,
        holds: [],
        postponed: { until: "2026-01-01T00:10:00.000Z", reason: expect.stringContaining(`is being ${doing} by`) },
        deadlineTime: "2026-01-01T06:00:00.000Z",
      },
    ]);
    await pass(125);
    expect(await backups()).toEqual([]);
    await end(occupier);
    await pass(10);
    expect(await backups()).toMatchObject([
      { state: "ACTIVE", createTime: expect.stringMatching(/^2026-01-01T02:[12]0/) },
    ]);
    expect(await run()).toMatchObject([{ done: true, response: { backup: expect.any(String) } }]);
  });

  it("is refused where a person asks", async () => {
    await register({ restoring: await alive("restore-1") });
    await ask({ instance: "orders" });
    expect(await run()).toMatchObject([{ error: { code: "FAILED_PRECONDITION" } }]);
  });
});

describe("a run that would fall into a window", () => {
  it("starts before it, where the policy is AVOID_BEFORE, and its message is known again", async () => {
    await register({
      ...windowed("thu:01:30-thu:04:00", "avoid-before"),
      automatedBackupConfig: {
        ...instanceOf("orders", endpoint).automatedBackupConfig,
        changeTime: "2026-01-01T00:00:00.000Z",
      },
    });
    const reconcile = async (requestId: string): Promise<void> => {
      await world.events.publish({ type: "reconciliation.v1.requested", data: { requestId }, attributes: {} });
      await world.settle();
    };
    await pass(43);
    await reconcile("a");
    expect(await operations()).toEqual([]);
    await pass(30);
    await reconcile("b");
    expect(await only()).toMatchObject({
      done: true,
      cause:
        "the run that is due at 2026-01-01T02:00:00.000Z starts before the maintenance window from 2026-01-01T01:30:00.000Z to 2026-01-01T04:00:00.000Z",
    });
    await pass(47);
    await fire({ cron: "0 2 * * *", timeZone: "Etc/UTC" });
    await pass(13);
    await reconcile("c");
    expect(await backups()).toMatchObject([{ state: "ACTIVE", createTime: "2026-01-01T01:13:00.000Z" }]);
    expect(await operations()).toHaveLength(1);
  });

  it("starts after it, where nobody started it before", async () => {
    await register(windowed("thu:01:30-thu:02:20", "avoid-before"));
    await pass(120);
    await fire({ cron: "0 2 * * *", timeZone: "Etc/UTC" });
    await pass(21);
    expect(await backups()).toMatchObject([{ createTime: "2026-01-01T02:20:00.000Z" }]);
  });
});
