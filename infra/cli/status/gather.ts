import type { BackupCollection, Instance } from "../../../shared/backup/backup.ts";
import { later, timeOf } from "../../../shared/backup/duration.ts";
import { compareFindings, type Finding, type WatchRecord, watchRecord } from "../../../shared/backup/finding.ts";
import { parseInstanceName } from "../../../shared/backup/name.ts";
import { ageOf, objectiveOf } from "../../../shared/backup/objective.ts";
import type { Operation } from "../../../shared/backup/operation.ts";
import { jobId } from "../../../shared/backup/schedule.ts";
import { asStatusError } from "../../../shared/error.ts";
import { newestVerified } from "../../../shared/pipeline/newest-backup.ts";
import type { Job, Ports } from "../../../shared/pipeline/ports.ts";

/** How an instance is protected. Times are RFC 3339; ages and objectives are in seconds. */
export interface Protection {
  instance: string;
  /** The newest verified backup, and when it was asked for. */
  backup?: string;
  backupTime?: string;
  ageSeconds?: number;
  objectiveSeconds?: number;
  nextTime?: string;
  /** The worst that is open of it. */
  severity?: Finding["severity"];
}

/** Everything that `valkeep status` tells. */
export interface Status {
  time: string;
  watchTime?: string;
  instances: Protection[];
  findings: Finding[];
  running: Operation[];
  /** Operations that have failed within the last day, the newest first. */
  failed: Operation[];
  sweep?: Operation;
  totals: { instances: number; backups: number; sizeBytes: number };
}

const day = 86_400;

/** Reads it all; the worst comes first. What cannot be read is said, and hides nothing else. */
export async function gather({ store, scheduler, clock }: Ports, say: (line: string) => void): Promise<Status> {
  const time = timeOf(clock.now());
  const all = async <T>(query: Parameters<typeof store.query>[0]) =>
    (await store.query<T>(query)).map(({ data }) => data);
  const [registered, collections, open, running, failed, sweeps, jobs, watched] = await Promise.all([
    all<Instance>({ collection: "instances" }),
    all<BackupCollection>({ collection: "backupCollections" }),
    all<Finding>({ collection: "findings", where: [["state", "==", "OPEN"]] }),
    all<Operation>({ collection: "operations", where: [["done", "==", false]] }),
    all<Operation>({
      collection: "operations",
      where: [
        ["hasFailed", "==", true],
        ["endTime", ">=", later(time, -day)],
      ],
      orderBy: { field: "endTime", direction: "desc" },
    }),
    all<Operation>({
      collection: "operations",
      where: [["verb", "==", "sweep"]],
      orderBy: { field: "createTime", direction: "desc" },
      limit: 1,
    }),
    scheduler.list().catch((error) => {
      say(`the next runs are not known: ${asStatusError(error).message}`);
      return [];
    }),
    store.get<WatchRecord>(watchRecord),
  ]);
  const findings = open.sort(compareFindings);
  const instances = await Promise.all(
    registered.map((instance) =>
      protectionOf(instance, store, jobs, findings, time).catch((error) => {
        say(`${instance.name}: ${asStatusError(error).message}`);
        return unknownProtection(instance, findings);
      }),
    ),
  );
  const [sweep] = sweeps;
  return {
    time,
    ...(watched !== undefined && { watchTime: watched.data.time }),
    instances: instances.sort(compareProtections),
    findings,
    running,
    failed,
    ...(sweep !== undefined && { sweep }),
    totals: {
      instances: registered.length,
      backups: collections.reduce((sum, { totalBackupCount }) => sum + totalBackupCount, 0),
      sizeBytes: collections.reduce((sum, { totalBackupSizeBytes }) => sum + totalBackupSizeBytes, 0),
    },
  };
}

async function protectionOf(
  instance: Instance,
  store: Ports["store"],
  jobs: readonly Job[],
  findings: readonly Finding[],
  now: string,
): Promise<Protection> {
  const id = parseInstanceName(instance.name);
  const newest = await newestVerified(store, instance);
  const objective = objectiveOf(instance, now);
  const next = jobs.find((job) => job.id === jobId(id) && job.state === "ENABLED")?.scheduleTime;
  return {
    ...unknownProtection(instance, findings),
    ...(newest !== undefined && {
      backup: newest.name,
      backupTime: newest.createTime,
      ageSeconds: ageOf(newest, instance, now),
    }),
    ...(objective !== undefined && { objectiveSeconds: objective }),
    ...(next !== undefined && { nextTime: next }),
  };
}

/** What is known of an instance without reading anything more. */
function unknownProtection({ name }: Instance, findings: readonly Finding[]): Protection {
  const severity = findings.find(({ resource }) => resource === name)?.severity;
  return { instance: parseInstanceName(name), ...(severity !== undefined && { severity }) };
}

const ranks = ["CRITICAL", "WARNING", "INFO", undefined];

/** The worst first, then by name. */
const compareProtections = (a: Protection, b: Protection): number =>
  ranks.indexOf(a.severity) - ranks.indexOf(b.severity) || (a.instance < b.instance ? -1 : 1);
