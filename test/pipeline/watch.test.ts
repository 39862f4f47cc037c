import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import { later, timeOf } from "../../shared/backup/duration.ts";
import {
  clearedLife,
  type Finding,
  type FindingKind,
  findingName,
  type Look,
  type WatchRecord,
  watchRecord,
} from "../../shared/backup/finding.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { encodeText } from "../../shared/memory/replay.ts";
import { keyName, type MemoryServer } from "../../shared/memory/valkey.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import type { Query } from "../../shared/pipeline/ports.ts";
import { record } from "../../shared/pipeline/record.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { change } from "./change.ts";
import { alerts, ask, endpoint, inOrder, open, openKinds, orders } from "./watched.ts";
import { instanceOf, vault, type World } from "./world.ts";

const hour = 3_600_000;
let world: World;
let server: MemoryServer;

beforeEach(async () => {
  world = await inOrder();
  server = world.valkey.servers.get(endpoint) ?? world.valkey.start(endpoint);
});

describe("a world in order", () => {
  it("has no findings, and its rounds leave no Operation", async () => {
    const before = await world.ports.store.query({ collection: "operations" });
    expect(await world.look()).toEqual(["done"]);
    expect(await open(world)).toEqual([]);
    expect(await world.ports.store.query({ collection: "operations" })).toEqual(before);
    expect(alerts(world)).toEqual([]);
  });
});

/** Each thing that watch can find: how it comes about and goes away. Health has its own tests; here one of its faults. */
interface Trouble {
  kind: FindingKind;
  resource: string;
  severity: string;
  cause(): Promise<void>;
  mend(): Promise<void>;
}

const put = (state: "ENABLED" | "PAUSED", cron?: string) => async () => {
  const job = await world.ports.scheduler.get("valkeep-backup-orders");
  if (job !== undefined) await world.ports.scheduler.put({ ...job, state, ...(cron !== undefined && { cron }) });
};
const protect = (protection: object) => async () => {
  const bucket = world.buckets[vault];
  const { protection: usual } = await world.ports.objects.describe(vault);
  if (bucket !== undefined) bucket.protection = { ...usual, ...protection };
};
const reconcile = () => ask(world, "instance.v1.changed");

/** A backup of the server with so many keys. */
async function backupOf(keys: number): Promise<void> {
  server.shards = [new Map(Array.from({ length: keys }, (_, n) => [keyName(0, `key:${n}`), string]))];
  await world.clock.advance(1_000);
  await ask(world, "backup.v1.requested");
}

const string = { type: 0, expireTimeMs: -1, value: encodeText("x") };

const inspected = (told: MemoryServer["inspected"]) => async () => {
  server.inspected = told;
};

const troubles: Trouble[] = [
  {
    kind: "backup-overdue",
    resource: orders,
    severity: "CRITICAL",
    cause: () => change<Instance>(world, orders, { backupObjective: 0 }).then(() => world.clock.advance(2_000)),
    mend: () => change<Instance>(world, orders, { backupObjective: 86_400 }),
  },
  {
    kind: "backup-shrunken",
    resource: orders,
    severity: "CRITICAL",
    cause: async () => {
      await backupOf(3);
      await backupOf(0);
    },
    mend: () => backupOf(2),
  },
  {
    kind: "instance-unreachable",
    resource: orders,
    severity: "WARNING",
    cause: async () => world.valkey.stop(endpoint),
    mend: async () => void world.valkey.start(endpoint),
  },
  {
    kind: "loss-window",
    resource: orders,
    severity: "WARNING",
    cause: inspected({ config: { save: "" } }),
    mend: inspected({}),
  },
  {
    kind: "bgsave-failed",
    resource: orders,
    severity: "CRITICAL",
    cause: inspected({ info: { rdb_last_bgsave_status: "err" } }),
    mend: inspected({}),
  },
  {
    kind: "job-missing",
    resource: orders,
    severity: "WARNING",
    cause: () => world.ports.scheduler.remove("valkeep-backup-orders"),
    mend: reconcile,
  },
  { kind: "job-paused", resource: orders, severity: "WARNING", cause: put("PAUSED"), mend: reconcile },
  { kind: "job-different", resource: orders, severity: "WARNING", cause: put("ENABLED", "0 5 * * *"), mend: reconcile },
  {
    kind: "job-missing",
    resource: "jobs/valkeep-tick",
    severity: "CRITICAL",
    cause: () => world.ports.scheduler.remove("valkeep-tick"),
    mend: async () => {
      const job = await world.ports.scheduler.get("valkeep-sweep");
      if (job) await world.ports.scheduler.put({ ...job, id: "valkeep-tick", type: "tick.v1" });
    },
  },
  {
    kind: "bucket-public",
    resource: `buckets/${vault}`,
    severity: "WARNING",
    cause: protect({ publicAccessPrevention: "inherited" }),
    mend: protect({ publicAccessPrevention: "enforced" }),
  },
  {
    kind: "bucket-acl",
    resource: `buckets/${vault}`,
    severity: "WARNING",
    cause: protect({ uniformBucketLevelAccess: false }),
    mend: protect({ uniformBucketLevelAccess: true }),
  },
  {
    kind: "bucket-unprotected",
    resource: `buckets/${vault}`,
    severity: "WARNING",
    cause: protect({ softDeleteSeconds: 0 }),
    mend: protect({ retentionSeconds: 86_400 }),
  },
  {
    kind: "bucket-missing",
    resource: `buckets/${vault}`,
    severity: "CRITICAL",
    async cause() {
      delete world.buckets[vault];
    },
    async mend() {
      world.buckets[vault] = { location: "asia-northeast1", locationType: "region" };
    },
  },
  {
    kind: "outbox-stuck",
    resource: "outbox",
    severity: "WARNING",
    cause: () => entry({ relayTime: ago(600) }),
    mend: () => world.ports.store.commit([{ kind: "remove", path: "outbox/stuck" }]),
  },
  {
    kind: "operation-stuck",
    resource: "operations/sweep-1",
    severity: "WARNING",
    cause: () => operation({ createTime: ago(2400), deadlineTime: ago(-1200) }),
    mend: () => change<Operation>(world, "operations/sweep-1", { done: true, endTime: ago(0) }),
  },
  {
    kind: "operation-failed",
    resource: "operations/sweep-1",
    severity: "WARNING",
    cause: () =>
      operation({ done: true, endTime: ago(60), hasFailed: true, error: { code: "DATA_LOSS", message: "x" } }),
    mend: () => world.clock.advance(24 * hour).then(() => ask(world, "backup.v1.requested")),
  },
];

const ago = (seconds: number): string => later(timeOf(world.clock.now()), -seconds);

async function entry(fields: object): Promise<void> {
  const data = {
    type: "backup.v1.deleted",
    data: { backup: backupName("orders", "x") },
    attributes: {},
    createTime: ago(600),
    ...fields,
  };
  await world.ports.store.commit([{ kind: "create", path: "outbox/stuck", data }]);
}

async function operation(fields: Partial<Operation>, task?: Partial<Task>): Promise<void> {
  const data = { ...newOperation("sweep.v1.requested", {}, "sweep-1", ago(0)), ...fields };
  await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
  if (task === undefined) return;
  const path = `${data.name}/tasks/sweep.v1.requested`;
  const whole = { type: "sweep.v1.requested", data: {}, createTime: data.createTime, attempt: 0, done: false, ...task };
  await world.ports.store.commit([{ kind: "create", path, data: whole }]);
}

describe.each(troubles)("$kind of $resource", ({ kind, resource, severity, cause, mend }) => {
  const ours = () => alerts(world).filter((told) => told.includes(` ${kind} ${resource} `));

  it("is raised once however often it is looked at, and cleared once when it is over", async () => {
    await cause();
    for (let round = 0; round < 3; round++) {
      await world.look();
      await world.clock.advance(1_000);
    }
    expect(await openKinds(world)).toEqual([`${kind} ${resource}`]);
    expect((await open(world))[0]).toMatchObject({ severity, message: expect.stringMatching(/\S/) });
    expect((await open(world))[0]?.advice).toMatch(/[.?]$/);
    expect(ours()).toEqual([`raised ${kind} ${resource} ${severity}`]);
    await mend();
    for (let round = 0; round < 2; round++) await world.look();
    expect(await openKinds(world)).toEqual([]);
    expect(ours()).toEqual([`raised ${kind} ${resource} ${severity}`, `cleared ${kind} ${resource} ${severity}`]);
  });

  it("is raised and cleared once by several rounds at once", async () => {
    await cause();
    await world.look(3);
    expect(ours()).toEqual([`raised ${kind} ${resource} ${severity}`]);
    await world.clock.advance(1_000);
    await mend();
    await world.look(3);
    expect(ours()).toHaveLength(2);
    expect(await openKinds(world)).toEqual([]);
  });
});

describe("a finding", () => {
  it("is told again when it gets worse, and once only", async () => {
    await entry({ relayTime: ago(600) });
    await world.look();
    await world.clock.advance(hour);
    await world.look(2);
    await world.look();
    expect(alerts(world)).toEqual(["raised outbox-stuck outbox WARNING", "raised outbox-stuck outbox CRITICAL"]);
  });

  it("keeps the time when it was seen first, and is a new one after it was cleared", async () => {
    world.valkey.stop(endpoint);
    await world.look();
    const first = (await open(world))[0]?.firstSeenTime;
    await world.clock.advance(1_000);
    await world.look();
    expect((await open(world))[0]).toMatchObject({ firstSeenTime: first, lastSeenTime: ago(0) });
    world.valkey.start(endpoint);
    await world.look();
    await world.clock.advance(1_000);
    world.valkey.stop(endpoint);
    await world.look();
    expect((await open(world))[0]?.firstSeenTime).toBe(ago(0));
    expect(alerts(world).map((told) => told.split(" ")[0])).toEqual(["raised", "cleared", "raised"]);
  });

  it("that was cleared is kept for a week", async () => {
    const name = findingName("instance-unreachable", orders);
    world.valkey.stop(endpoint);
    await world.look();
    world.valkey.start(endpoint);
    await world.look();
    expect((await world.ports.store.get<Finding>(name))?.data).toMatchObject({ state: "CLEARED", clearTime: ago(0) });
    await world.clock.advance(clearedLife * 1000 - 1);
    await world.look();
    expect(await world.ports.store.get(name)).toBeDefined();
    await world.clock.advance(1);
    await world.look();
    expect(await world.ports.store.get(name)).toBeUndefined();
  });

  it("of an instance that is registered no longer is cleared", async () => {
    world.valkey.stop(endpoint);
    await world.look();
    await world.ports.store.commit([{ kind: "remove", path: orders }]);
    await world.clock.advance(1_000);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });
});

describe("what could not be looked at", () => {
  it("of a server that does not answer stays as it was found", async () => {
    server.inspected = { info: { rdb_last_bgsave_status: "err" } };
    await world.look();
    world.valkey.stop(endpoint);
    await world.look();
    expect(await openKinds(world)).toEqual([`bgsave-failed ${orders}`, `instance-unreachable ${orders}`]);
    world.valkey.start(endpoint);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });

  it("of a server that keeps CONFIG from us from now on stays as it was found", async () => {
    server.inspected = { config: { rdbchecksum: "no" } };
    await world.look();
    server.inspected = { config: { rdbchecksum: undefined } };
    await world.look();
    expect(await openKinds(world)).toEqual([`config-unread ${orders}`, `rdbchecksum-off ${orders}`]);
  });

  it("while the scheduler does not answer stays as it was found, and the rest is looked at", async () => {
    await put("PAUSED")();
    await world.look();
    const { list } = world.ports.scheduler;
    world.ports.scheduler.list = () => Promise.reject(new StatusError("UNAVAILABLE", "no answer"));
    world.valkey.stop(endpoint);
    await world.look();
    expect(await openKinds(world)).toEqual([`instance-unreachable ${orders}`, `job-paused ${orders}`]);
    world.ports.scheduler.list = list;
  });

  it("of a job is looked at although a second look at its change is due in an hour", async () => {
    await put("PAUSED")();
    const due = later(ago(0), 3600 + 86_400);
    const again = newOperation("instance.v1.changed", { instance: "orders" }, "schedule-1", ago(0));
    await world.ports.store.commit([{ kind: "create", path: again.name, data: { ...again, deadlineTime: due } }]);
    await world.look();
    expect(await openKinds(world)).toEqual([`job-paused ${orders}`]);
  });

  it("as the schedule is being changed is no difference", async () => {
    await put("ENABLED", "0 5 * * *")();
    const changing = newOperation("instance.v1.changed", { instance: "orders" }, "schedule-1", ago(0));
    await world.ports.store.commit([{ kind: "create", path: changing.name, data: changing }]);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });
});

describe("one instance's trouble", () => {
  const names = ["alpha", "bravo", "zulu"];
  beforeEach(async () => {
    for (const [i, name] of names.entries()) {
      const data = { ...instanceOf(name, `127.0.0.1:80${i}`), automatedBackupConfig: disabled };
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    }
  });
  const disabled = { automatedBackupMode: "DISABLED" as const, retentionSeconds: 86_400 };
  const unreachable = names.map((name) => `instance-unreachable instances/${name}`);

  it("does not keep the others from being looked at: a server that stays silent", async () => {
    const { inspect } = world.valkey;
    world.valkey.inspect = (instance, signal) =>
      instance.name === orders ? new Promise(() => undefined) : inspect(instance, signal);
    await world.look();
    expect(await openKinds(world)).toEqual([
      unreachable[0],
      unreachable[1],
      `instance-unreachable ${orders}`,
      unreachable[2],
    ]);
    const silent = (await open(world)).find(({ resource }) => resource === orders);
    expect(silent?.message).toMatch(/127.0.0.1:7001 gave no answer within 10 s/);
  });

  it("does not keep the others, nor the rest of it, from being looked at: backups that cannot be read", async () => {
    const { query } = world.ports.store;
    world.ports.store.query = async (asked) => {
      if (asked.collection === "backupCollections/bravo/backups") throw new StatusError("UNAVAILABLE", "no answer");
      return await query(asked);
    };
    expect(await world.look()).toEqual(["done"]);
    expect(await openKinds(world)).toEqual(unreachable);
    expect(world.lines).toContainEqual(
      expect.objectContaining({
        message: "not looked at",
        fields: expect.objectContaining({ what: "backups of instances/bravo" }),
      }),
    );
  });
});

describe("a schedule that nobody can read", () => {
  it("keeps neither the server nor the others from being looked at, and clears nothing", async () => {
    await change<Instance>(world, orders, { backupObjective: 0 });
    await world.clock.advance(2_000);
    await world.look();
    const config = { automatedBackupMode: "ENABLED" as const, retentionSeconds: 86_400 };
    const fixedFrequencySchedule = { startTime: { hours: 99 } };
    const doc = await world.ports.store.get(orders);
    const data = { ...instanceOf("orders", endpoint), automatedBackupConfig: { ...config, fixedFrequencySchedule } };
    await world.ports.store.commit([{ kind: "put", path: orders, data, updateTime: doc?.updateTime ?? "" }]);
    world.valkey.stop(endpoint);
    await world.look();
    expect(await openKinds(world)).toEqual([
      `backup-overdue ${orders}`,
      `instance-unreachable ${orders}`,
      `job-different ${orders}`,
    ]);
  });
});

describe("many instances", () => {
  it("are inspected in turn, so many in each round, and their backups are looked at in every one", async () => {
    const ids = Array.from({ length: 149 }, (_, i) => `many-${String(i).padStart(3, "0")}`);
    for (const id of ids) {
      const data: Instance = { ...instanceOf(id, endpoint), backupObjective: 0 };
      data.automatedBackupConfig = { automatedBackupMode: "DISABLED", retentionSeconds: 86_400 };
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    }
    await world.clock.advance(2_000);
    const { inspect } = world.valkey;
    const inspected: string[] = [];
    world.valkey.inspect = (instance, signal) => {
      inspected.push(instance.name);
      return inspect(instance, signal);
    };
    await world.look();
    expect(inspected).toHaveLength(60);
    expect((await openKinds(world)).filter((kind) => kind.startsWith("backup-overdue"))).toHaveLength(149);
    await world.look();
    await world.look();
    expect(inspected).toHaveLength(180);
    expect(new Set(inspected).size).toBe(150);
  });
});

describe("a round whose time is over", () => {
  it("leaves the rest to the next ones, which go on behind it", async () => {
    const ids = Array.from({ length: 500 }, (_, i) => `slow-${String(i).padStart(3, "0")}`);
    for (const id of ids) {
      const data: Instance = { ...instanceOf(id, endpoint), backupObjective: 0 };
      data.automatedBackupConfig = { automatedBackupMode: "DISABLED", retentionSeconds: 86_400 };
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    }
    await world.clock.advance(2_000);
    const { query } = world.ports.store;
    world.ports.store.query = async (asked) => {
      if (asked.collection.endsWith("/backups")) await world.clock.sleep(5_000);
      return await query(asked);
    };
    const found = async () => (await openKinds(world)).filter((kind) => kind.startsWith("backup-overdue")).length;
    const started = world.clock.now();
    expect(await world.look()).toEqual(["done"]);
    expect(world.clock.now() - started).toBeLessThan(300_000);
    expect(await found()).toBeGreaterThan(200);
    expect(await found()).toBeLessThan(400);
    await world.look();
    expect(await found()).toBe(500);
  });
});

describe("rounds that never come to their end", () => {
  async function fleet(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const data = instanceOf(`fleet-${String(n).padStart(4, "0")}`, endpoint);
      data.automatedBackupConfig = { automatedBackupMode: "DISABLED", retentionSeconds: 86_400 };
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    }
  }

  /** Makes every query of these collections take so long. */
  function slow(end: string, milliseconds: number): void {
    const { query } = world.ports.store;
    world.ports.store.query = async (asked) => {
      if (asked.collection.endsWith(end)) await world.clock.sleep(milliseconds);
      return await query(asked);
    };
  }

  it("inspect every server in the end all the same", async () => {
    await fleet(299);
    slow("/backups", 9_600); // half of the fleet fits into a round
    const { inspect } = world.valkey;
    const inspected = new Set<string>();
    world.valkey.inspect = (instance, signal) => {
      inspected.add(instance.name);
      return inspect(instance, signal);
    };
    for (let round = 0; round < 6; round++) await world.look();
    expect(inspected.size).toBe(300);
  });

  it("look at backups although hundreds of Operations stand still", async () => {
    for (let n = 0; n < 600; n++) {
      const fields = { createTime: ago(2400), deadlineTime: ago(-1200) };
      const data = { ...newOperation("sweep.v1.requested", {}, `sweep-${n}`, ago(0)), ...fields };
      await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    }
    slow("/tasks", 500);
    await change<Instance>(world, orders, { backupObjective: 0 });
    await world.clock.advance(2_000);
    await world.look();
    expect(await openKinds(world)).toContain(`backup-overdue ${orders}`);
  });
});

describe("a shrunken backup", () => {
  const hourly = async (keys: number, hours: number) => {
    for (let n = 0; n < hours; n++) {
      await world.clock.advance(hour);
      await backupOf(keys);
    }
  };

  it("stays a finding for 20 hours though the next ones are as small, then they are in line", async () => {
    await hourly(3, 2);
    await hourly(0, 20);
    await world.look();
    const [found] = await open(world);
    expect(found).toMatchObject({ kind: "backup-shrunken", severity: "CRITICAL" });
    expect(found?.message).toMatch(/: 0 keys instead of 3$/);
    await hourly(0, 1);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });

  it("is not compared with one of an instance that had the same name, nor with one that is deleted", async () => {
    await backupOf(3);
    const [former] = await world.ports.store.query<Backup>({
      collection: "backupCollections/orders/backups",
      orderBy: { field: "createTime", direction: "desc" },
      limit: 1,
    });
    await change<Backup>(world, former?.path ?? "", { instanceUid: "another" });
    await backupOf(0);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
    await change<Backup>(world, former?.path ?? "", { instanceUid: former?.data.instanceUid ?? "" });
    await world.look();
    expect(await openKinds(world)).toEqual([`backup-shrunken ${orders}`]);
    await change<Backup>(world, former?.path ?? "", { state: "DELETING" });
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });
});

it("an instance in order costs two backup reads, however many there are", async () => {
  for (let n = 0; n < 5; n++) {
    await world.clock.advance(60_000);
    await ask(world, "backup.v1.requested");
  }
  const { query } = world.ports.store;
  let count = 0;
  world.ports.store.query = async <T>(asked: Query) => {
    const found = await query<T>(asked);
    if (asked.collection.endsWith("/backups")) count += found.length;
    return found;
  };
  await world.look();
  expect(count).toBe(2);
});

describe("an Operation", () => {
  it("that failed is in order once the same was asked again and went well", async () => {
    server.sends = Buffer.from("nonsense");
    await world.clock.advance(1_000);
    await ask(world, "backup.v1.requested");
    await world.look();
    expect(await openKinds(world)).toEqual([expect.stringMatching(/^operation-failed operations\/backup-/)]);
    expect((await open(world))[0]?.message).toMatch(/^backup of instances\/orders failed: .*DATA_LOSS/);
    server.sends = undefined;
    await world.clock.advance(1_000);
    await ask(world, "backup.v1.requested");
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });

  it("that failed is not made up for by a dry run of the same", async () => {
    const failed = { error: { code: "DATA_LOSS" as const, message: "x" }, hasFailed: true as const };
    const restore = (id: string, data: object, fields: Partial<Operation>) => {
      const request = { instance: "orders", gcsSourceUris: ["gs://inbox/a.rdb"], ...data };
      const made = { ...newOperation("restore.v1.requested", request, id, ago(600)), done: true, ...fields };
      return world.ports.store.commit([{ kind: "create", path: made.name, data: made }]);
    };
    await restore("restore-1", {}, { endTime: ago(500), ...failed });
    await restore("restore-2", { dryRun: true }, { endTime: ago(400) });
    await world.look();
    expect(await openKinds(world)).toEqual(["operation-failed operations/restore-1"]);
    await restore("restore-3", {}, { endTime: ago(300) });
    await world.clock.advance(1_000);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });

  it("that has no target is told without one, and with the command that goes on with it", async () => {
    await operation({ done: true, endTime: ago(60), hasFailed: true, error: { code: "DATA_LOSS", message: "x" } });
    await world.look();
    expect(await open(world)).toMatchObject([
      {
        message: "sweep failed: x (DATA_LOSS)",
        advice: "Mend what it says, then valkeep operations retry sweep-1, or ask anew.",
      },
    ]);
  });

  it("that failed again has one finding, the newest", async () => {
    server.sends = Buffer.from("nonsense");
    for (let round = 0; round < 3; round++) {
      await world.clock.advance(1_000);
      await ask(world, "backup.v1.requested");
      await world.clock.advance(1_000);
      await world.look();
      expect(await openKinds(world)).toHaveLength(1);
    }
  });

  it("that was refused, or cancelled by a person, is no finding", async () => {
    await world.events.publish({ type: "backup.v1.requested", data: { instance: "nobody" }, attributes: {} });
    await world.settle();
    await operation({});
    await endOperation(world.ports, "operations/sweep-1", new StatusError("CANCELLED", "by hand"), true);
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });

  it.each([
    ["whose task nobody took", { attempt: 0 }],
    [
      "whose task lost its lease long ago",
      { attempt: 3, lease: { owner: "x", epoch: 3, expireTime: "2025-12-31T23:44:00.000Z" } },
    ],
  ])("%s is stuck long before its deadline", async (_name, task) => {
    await operation({ createTime: ago(1000), deadlineTime: ago(-2600) }, task);
    await world.look();
    expect((await open(world))[0]).toMatchObject({
      kind: "operation-stuck",
      message: expect.stringMatching(/nobody has worked at it since/),
    });
  });

  it.each([
    ["somebody works at", { createTime: "2025-12-31T23:43:20.000Z", deadlineTime: "2026-01-01T00:43:20.000Z" }, 1],
    ["begins an hour from now", { deadlineTime: "2026-01-01T02:00:00.000Z" }, 0],
  ])("that %s is not stuck", async (_name, fields, attempt) => {
    const start = Date.parse("2026-01-01T00:00:00.000Z") - world.clock.now();
    await operation(shifted(fields, -start), {
      attempt,
      ...(attempt > 0 && { lease: { owner: "x", epoch: 1, expireTime: ago(-50) } }),
    });
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });
});

const shifted = (fields: Record<string, string>, by: number) =>
  Object.fromEntries(Object.entries(fields).map(([name, time]) => [name, timeOf(Date.parse(time) + by)]));

describe("the outbox", () => {
  it("is stuck, too, while relay tries in vain and puts an entry off each time", async () => {
    await entry({ relayTime: ago(60) });
    const { publish } = world.events;
    world.events.publish = () => Promise.reject(new StatusError("UNAVAILABLE", "there is no such topic"));
    for (let minute = 0; minute < 10; minute++) {
      await world.tick();
      await world.clock.advance(60_000);
    }
    world.events.publish = publish;
    await world.look();
    expect((await open(world))[0]?.message).toMatch(/^1 events wait to be published, the oldest since/);
  });

  it("may hold what is meant for later", async () => {
    await entry({ relayTime: ago(-3600) });
    await world.look();
    expect(await openKinds(world)).toEqual([]);
  });
});

describe("a round", () => {
  it("leaves word of when it was", async () => {
    await world.look();
    expect((await world.ports.store.get<WatchRecord>(watchRecord))?.data).toEqual({ time: ago(0), inspected: orders });
  });

  it("that comes late takes nothing back of what a later one has written", async () => {
    const late: Look = { resource: orders, time: ago(60), symptoms: [], unread: [] };
    world.valkey.stop(endpoint);
    await world.look();
    await record(world.ports, late);
    expect(await openKinds(world)).toEqual([`instance-unreachable ${orders}`]);
    const [seen] = await open(world);
    world.valkey.start(endpoint);
    await world.look();
    if (seen !== undefined) await record(world.ports, { ...late, symptoms: [seen] });
    expect(await openKinds(world)).toEqual([]);
    expect(alerts(world)).toHaveLength(2);
  });
});
