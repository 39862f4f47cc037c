import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { PubSub } from "@google-cloud/pubsub";
import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import { later, timeOf } from "../../shared/backup/duration.ts";
import type { Finding, FindingKind } from "../../shared/backup/finding.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { topicOf } from "../../shared/backup/route.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import { until } from "../fixture/until.ts";
import { send } from "../valkey/client.ts";
import { startRecordedServer } from "./recorded-server.ts";
import { type Recorder, startRecorder } from "./recorder.ts";
import { openStage, type Stage } from "./stage.ts";

/** Each kind of trouble, caused on the emulators and a real Valkey, seen by the function and told over Pub/Sub. */
let stage: Stage;
let server: ValkeyServer;
let recorder: Recorder;

const orders = "instances/orders";

beforeAll(async () => {
  stage = await openStage();
  server = await stage.valkey({ version: "8.0", args: ["--save", "3600 1"] });
  await stage.register("orders", server.endpoint, { automatedBackupMode: "enabled", startTimeHours: "3" });
  await stage.done("instance.v1.changed", { instance: "orders" });
  await stage.done("backup.v1.requested", { instance: "orders" });
  recorder = await startRecorder(stage);
});

afterAll(async () => {
  await recorder?.close();
  await stage[Symbol.asyncDispose]();
});

/** Has Cloud Scheduler fire the job, and waits for the end of the round. */
async function look(): Promise<void> {
  const before = (await stage.document<{ time: string }>("watches/last"))?.time;
  await stage.ports.scheduler.run("valkeep-watch");
  await until(
    async () => (await stage.document<{ time: string }>("watches/last"))?.time !== before,
    "a round of watch",
  );
}

const open = async (): Promise<string[]> =>
  (await stage.ports.store.query<Finding>({ collection: "findings", where: [["state", "==", "OPEN"]] })).map(
    ({ data: { kind, resource } }) => `${kind} ${resource}`,
  );

/** The alerts of a finding that came over Pub/Sub: each id once. */
function told(kind: string, resource: string): string[] {
  const ours = recorder.messages.filter(({ type, data }) => {
    const alert = data as Finding;
    return type.startsWith("alert.") && alert.kind === kind && alert.resource === resource;
  });
  return [...new Map(ours.map(({ type, attributes }) => [attributes.id, type])).values()];
}

async function change<T extends object>(path: string, fields: Partial<T>): Promise<void> {
  const doc = await stage.ports.store.get<T>(path);
  if (doc === undefined) throw new Error(`there is no ${path}`);
  const data = { ...doc.data, ...fields };
  await stage.ports.store.commit([{ kind: "put", path, data, updateTime: doc.updateTime }]);
}

const ago = (seconds: number): string => later(timeOf(Date.now()), -seconds);

const bucketOf = (name: "vaultBucket" | "inboxBucket") => {
  const { projectId, storage } = stage.stack.stack;
  return new Storage({ projectId, apiEndpoint: storage.apiEndpoint }).bucket(storage[name]);
};
const bucket = () => bucketOf("vaultBucket");
const inbox = () => bucketOf("inboxBucket");

const pubsub = () => {
  const { projectId, pubsub } = stage.stack.stack;
  return new PubSub({ projectId, apiEndpoint: pubsub.host, emulatorMode: true });
};

async function pauseJob(state: "PAUSED" | "ENABLED"): Promise<void> {
  const job = await stage.ports.scheduler.get("valkeep-backup-orders");
  if (job !== undefined) await stage.ports.scheduler.put({ ...job, state });
}

async function save(): Promise<void> {
  await send(server.endpoint, ["BGSAVE"]);
  const isSaving = async () => String(await send(server.endpoint, ["INFO", "persistence"]));
  await until(async () => (await isSaving()).includes("rdb_bgsave_in_progress:0"), "the end of BGSAVE");
}

const inTheWay = () => join(server.directory, "dump.rdb");

type Trouble = [FindingKind, string | (() => string), () => Promise<unknown>, () => Promise<unknown>];

/** A setting of the server that is wrong, and right again. */
const setting = (kind: FindingKind, name: string, wrong: string, right: string): Trouble => [
  kind,
  orders,
  () => send(server.endpoint, ["CONFIG", "SET", name, wrong]),
  () => send(server.endpoint, ["CONFIG", "SET", name, right]),
];

const troubles: Trouble[] = [
  ["job-paused", orders, () => pauseJob("PAUSED"), () => pauseJob("ENABLED")],
  [
    "job-missing",
    orders,
    () => stage.ports.scheduler.remove("valkeep-backup-orders"),
    () => stage.done("instance.v1.changed", { instance: "orders" }),
  ],
  [
    "job-different",
    orders,
    async () => {
      const job = await stage.ports.scheduler.get("valkeep-backup-orders");
      if (job !== undefined) await stage.ports.scheduler.put({ ...job, cron: "0 4 * * *" });
    },
    () => stage.done("instance.v1.changed", { instance: "orders" }),
  ],
  ["bucket-missing", () => `buckets/${inbox().name}`, () => inbox().delete(), () => inbox().create()],
  [
    "bucket-public",
    () => `buckets/${stage.ports.settings.vaultBucket}`,
    () => bucket().setMetadata({ iamConfiguration: { publicAccessPrevention: "inherited" } }),
    () => bucket().setMetadata({ iamConfiguration: { publicAccessPrevention: "enforced" } }),
  ],
  [
    "bucket-acl",
    () => `buckets/${stage.ports.settings.vaultBucket}`,
    () => bucket().setMetadata({ iamConfiguration: { uniformBucketLevelAccess: { enabled: false } } }),
    () => bucket().setMetadata({ iamConfiguration: { uniformBucketLevelAccess: { enabled: true } } }),
  ],
  [
    "bucket-unprotected",
    () => `buckets/${stage.ports.settings.vaultBucket}`,
    () => bucket().setMetadata({ softDeletePolicy: { retentionDurationSeconds: 0 } }),
    () => bucket().setMetadata({ softDeletePolicy: { retentionDurationSeconds: 604_800 } }),
  ],
  [
    "loss-window",
    orders,
    () => send(server.endpoint, ["CONFIG", "SET", "save", ""]),
    () => send(server.endpoint, ["CONFIG", "SET", "save", "3600 1"]),
  ],
  setting("stop-writes-off", "stop-writes-on-bgsave-error", "no", "yes"),
  setting("rdbcompression-off", "rdbcompression", "no", "yes"),
  setting("repl-timeout-short", "repl-timeout", "30", "60"),
  setting("maxmemory-headroom", "maxmemory", "1000gb", "0"),
  [
    "config-unread",
    orders,
    () => send(server.endpoint, ["ACL", "SETUSER", "default", "-config|get"]),
    () => send(server.endpoint, ["ACL", "SETUSER", "default", "+config|get"]),
  ],
  [
    "replica-link-down",
    orders,
    () => send(server.endpoint, ["REPLICAOF", "127.0.0.1", "1"]),
    () => send(server.endpoint, ["REPLICAOF", "NO", "ONE"]),
  ],
  [
    "bgsave-failed",
    orders,
    () => mkdir(join(inTheWay(), "inside"), { recursive: true }).then(save),
    () => rm(inTheWay(), { recursive: true }).then(save),
  ],
  [
    "instance-unreachable",
    orders,
    () => send(server.endpoint, ["CONFIG", "SET", "requirepass", "sesame"]),
    () => send(server.endpoint, ["AUTH", "sesame"], ["CONFIG", "SET", "requirepass", ""]),
  ],
  [
    "backup-overdue",
    orders,
    () => change<Instance>(orders, { backupObjective: 1 }),
    () => change<Instance>(orders, { backupObjective: 86_400 }),
  ],
  [
    "backup-shrunken",
    orders,
    async () => {
      await send(server.endpoint, ["SET", "key", "value"]);
      await backUp("full");
      await send(server.endpoint, ["DEL", "key"]);
      await backUp("emptied");
    },
    async () => {
      await send(server.endpoint, ["SET", "key", "value"]);
      await backUp("full-again");
    },
  ],
  [
    "operation-stuck",
    "operations/sweep-1",
    async () => {
      const stuck = newOperation("sweep.v1.requested", {}, "sweep-1", ago(2400));
      await stage.ports.store.commit([{ kind: "create", path: stuck.name, data: stuck }]);
    },
    () => change<Operation>("operations/sweep-1", { done: true, endTime: ago(0) }),
  ],
];

/** Under names of their own: those that tell the time differ by the second only. */
async function backUp(backupId: string): Promise<void> {
  const { error } = await stage.done("backup.v1.requested", { instance: "orders", backupId });
  expect(error).toBeUndefined();
}

describe.each(troubles)("%s", (kind, where, cause, mend) => {
  it("is raised once, and cleared once when it is over", { timeout: 60_000 }, async () => {
    const resource = typeof where === "string" ? where : where();
    await cause();
    await look();
    await look();
    expect(await open()).toContain(`${kind} ${resource}`);
    await until(async () => told(kind, resource).length > 0, "the alert", 20);
    await mend();
    await look();
    expect(await open()).not.toContain(`${kind} ${resource}`);
    await until(async () => told(kind, resource).length > 1, "the end of the alert", 20);
    await look();
    expect(told(kind, resource)).toEqual(["alert.v1.raised", "alert.v1.cleared"]);
  });
});

it("what no test can bring a real server to is raised and cleared as servers tell it", {
  timeout: 60_000,
}, async () => {
  await using recorded = await startRecordedServer();
  await stage.register("recorded", recorded.endpoint);
  const kinds: FindingKind[] = [
    ...(["fork-headroom", "fork-slow", "changes-unsaved", "aof-write-failed", "aof-rewrite-failed"] as const),
    ...(["rdbchecksum-off", "replica-lagging", "output-buffer-small"] as const),
  ];
  recorded.tell(
    {
      ...{ redis_version: "6.2.14", used_memory: "999999999999", latest_fork_usec: "1500000" },
      ...{ rdb_changes_since_last_save: "7", rdb_last_save_time: "1000", server_time_usec: "8000000000" },
      ...{ aof_enabled: "1", aof_last_write_status: "err", aof_last_bgrewrite_status: "err" },
      slave0: "ip=10.0.0.6,port=6379,state=online,offset=1,lag=61,type=replica",
    },
    { rdbchecksum: "no" },
  );
  const resource = "instances/recorded";
  const ours = async () => (await open()).filter((one) => one.endsWith(` ${resource}`)).map((one) => one.split(" ")[0]);
  await look();
  await look();
  expect((await ours()).sort()).toEqual([...kinds].sort());
  recorded.tell({}, {});
  await look();
  expect(await ours()).toEqual([]);
  await until(async () => kinds.every((kind) => told(kind, resource).length > 1), "the ends of the alerts", 20);
  await look();
  for (const kind of kinds)
    expect([kind, ...told(kind, resource)]).toEqual([kind, "alert.v1.raised", "alert.v1.cleared"]);
  await stage.ports.store.commit([{ kind: "remove", path: resource }]);
});

it("an event whose topic is gone is found in the outbox, and told", { timeout: 60_000 }, async () => {
  const topic = topicOf("backup.v1.undeleted");
  const { projectId } = stage.stack.stack;
  const client = pubsub();
  await client.topic(topic).delete();
  const late = { createTime: ago(900), relayTime: ago(900) };
  const data = { backup: "backupCollections/orders/backups/x" };
  const entry = { type: "backup.v1.undeleted", data, attributes: {}, ...late };
  await stage.ports.store.commit([{ kind: "create", path: "outbox/stuck", data: entry }]);
  await stage.ports.scheduler.run("valkeep-tick");
  await until(
    async () => (await stage.document<{ dueTime?: string }>("outbox/stuck"))?.dueTime !== undefined,
    "relay to try in vain",
  );
  await look();
  expect(await open()).toContain("outbox-stuck outbox");
  await client.createTopic(`projects/${projectId}/topics/${topic}`);
  await stage.ports.store.commit([{ kind: "remove", path: "outbox/stuck" }]);
  await look();
  await until(async () => told("outbox-stuck", "outbox").length > 1, "the alert and its end", 20);
  expect(told("outbox-stuck", "outbox")).toEqual(["alert.v1.raised", "alert.v1.cleared"]);
  await client.close();
});

it("a server that is down is unreachable, and what was found of it before stays", { timeout: 90_000 }, async () => {
  const other = await startValkey({ version: "8.0" });
  await stage.register("other", other.endpoint);
  await look();
  expect(await open()).toContain("loss-window instances/other");
  await other.kill();
  await look();
  expect((await open()).filter((finding) => finding.endsWith("/other")).sort()).toEqual([
    "instance-unreachable instances/other",
    "loss-window instances/other",
  ]);
  await stage.ports.store.commit([{ kind: "remove", path: "instances/other" }]);
  await look();
  expect((await open()).filter((finding) => finding.endsWith("/other"))).toEqual([]);
  await until(async () => told("loss-window", "instances/other").length > 1, "the end of the alert", 20);
});

it("a failed backup is a finding until one goes well, and two rounds at once tell it once", {
  timeout: 90_000,
}, async () => {
  const target = "instances/nobody-there";
  const gone = await startValkey({ version: "8.0", password: "sesame" });
  await stage.register("nobody-there", gone.endpoint);
  const { name } = await stage.done("backup.v1.requested", { instance: "nobody-there" });
  await Promise.all([look(), look(), stage.ports.scheduler.run("valkeep-watch")]);
  expect(await open()).toContain(`operation-failed ${name}`);
  await send(gone.endpoint, ["AUTH", "sesame"], ["CONFIG", "SET", "requirepass", ""]);
  expect((await stage.done("backup.v1.requested", { instance: "nobody-there" })).error).toBeUndefined();
  await look();
  expect(await open()).not.toContain(`operation-failed ${name}`);
  await until(async () => told("operation-failed", name).length > 1, "the end of the alert", 20);
  expect(told("operation-failed", name)).toEqual(["alert.v1.raised", "alert.v1.cleared"]);
  expect(told("instance-unreachable", target)).toEqual(["alert.v1.raised", "alert.v1.cleared"]);
  await gone.stop();
});
