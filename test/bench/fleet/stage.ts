import { relay } from "../../../functions/relay.ts";
import { type StepFunction, steps } from "../../../functions/steps.ts";
import { watch } from "../../../functions/watch.ts";
import { periodicJobs } from "../../../infra/local/jobs.ts";
import type { Backup, BackupCollection } from "../../../shared/backup/backup.ts";
import { day, later, timeOf } from "../../../shared/backup/duration.ts";
import type { EventType } from "../../../shared/backup/event.ts";
import { backupName, collectionName } from "../../../shared/backup/name.ts";
import { inReview } from "../../../shared/backup/review.ts";
import { routes } from "../../../shared/backup/route.ts";
import { handle } from "../../../shared/pipeline/handle.ts";
import type { Write } from "../../../shared/pipeline/ports.ts";
import { timing } from "../../../shared/pipeline/timing.ts";
import { createWorld, instanceOf } from "../../pipeline/world.ts";
import { isHeard, metered, nothing, type Usage } from "./meter.ts";

/** The functions on ports in memory that count what is billed. */
export function createStage() {
  const { ports, clock, events, valkey } = createWorld();
  const usage = { ...nothing };
  const counted = metered(ports, usage);

  /** Publishes as Cloud Scheduler does, and lets the functions work until nothing is left to deliver; answers what that used. */
  async function run(type: EventType, data: unknown): Promise<Usage> {
    Object.assign(usage, nothing);
    await counted.events.publish({ type, data, attributes: {} });
    for (let messages = events.take(); messages.length > 0; messages = events.take())
      for (const message of messages) {
        if (message.type === "tick.v1") await relay(counted, timing);
        else if (message.type === "watch.v1") await watch(counted);
        else if (isHeard(message.type)) {
          const incoming = {
            ...message,
            data: Buffer.from(JSON.stringify(message.data)),
            publishTime: timeOf(clock.now()),
          };
          const answer = await handle(steps[functionOf(message.type)], incoming, counted, timing);
          if (answer !== "done") throw new Error(`${message.type} was answered ${answer}`);
        }
      }
    return { ...usage };
  }

  /** Registers an instance with a server behind it, its job, and those that every valkeep has. */
  async function register(id: string): Promise<void> {
    for (const { id: name, ...job } of periodicJobs)
      await ports.scheduler.put({ ...job, id: `valkeep-${name}`, timeZone: "Etc/UTC", state: "ENABLED" });
    // By its run id and by its address: as a server that has no replicas.
    valkey.start("127.0.0.1:7001").answers.ids = ["run", "127.0.0.1:7001"];
    const instance = instanceOf(id, "127.0.0.1:7001");
    await ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
    await run("instance.v1.changed", { instance: id });
  }

  /** Puts down the collection of one instance: `count` backups, one a day, the last of them now; each lives `life` days. */
  async function fill(ids: readonly string[], count: number, life: number): Promise<void> {
    const writes: Write[] = [];
    for (const id of ids) {
      const all = Array.from({ length: count }, (_, age) => backupOf(id, age, life, timeOf(clock.now())));
      const { name, instance, instanceUid, location, createTime } = { ...all[0], name: collectionName(id) } as Backup;
      const totals = { totalBackupCount: count, totalBackupSizeBytes: count * 1e9 };
      const holder: BackupCollection = { name, instance, instanceUid, location, createTime, ...totals };
      writes.push(...[holder, ...all].map((data) => ({ kind: "create", path: data.name, data }) as const));
    }
    await ports.store.commit(writes);
  }

  return { ports, clock, run, register, fill };
}

export type Stage = ReturnType<typeof createStage>;

/** A backup of so many days ago. */
export function backupOf(instanceId: string, age: number, life: number, now: string): Backup {
  const createTime = later(now, -age * day);
  return inReview({
    name: backupName(instanceId, `b${age}`),
    uid: `${instanceId}-${age}`,
    instance: `instances/${instanceId}`,
    instanceUid: instanceOf(instanceId, "").uid,
    location: "us-central1",
    bucket: "vault",
    operation: "operations/backup-0123456789abcdef",
    state: "ACTIVE",
    backupType: "AUTOMATED",
    createTime,
    expireTime: later(createTime, life * day),
    totalSizeBytes: 1e9,
    mode: "CLUSTER_DISABLED",
    shardCount: 1,
    replicaCount: 1,
    backupFiles: [],
    verification: "CHECKED",
    pins: [],
  });
}

function functionOf(type: EventType): StepFunction {
  const found = Object.entries(routes).find(([, topics]) => (topics as readonly string[]).includes(type));
  return found?.[0] as StepFunction;
}
