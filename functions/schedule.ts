import { isDeepStrictEqual } from "node:util";
import type { Instance } from "../shared/backup/backup.ts";
import { later, timeOf } from "../shared/backup/duration.ts";
import { instanceName, parseInstanceName } from "../shared/backup/name.ts";
import { instanceOfJob, jobId, scheduleOf } from "../shared/backup/schedule.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import { begin } from "../shared/pipeline/begin.ts";
import { operationIdFor } from "../shared/pipeline/identity.ts";
import type { Doc, Job, Ports, Store } from "../shared/pipeline/ports.ts";
import { type Candidate, candidatesOf, scheduledRequest, type WantedRun, wantedOf } from "../shared/pipeline/runs.ts";
import { step } from "../shared/pipeline/step.ts";

/** When a job that took more than one attempt is looked at again, in seconds. */
const secondLook = 3600;

/** Instances that are looked at together. */
const page = 200;

/** Keeps an instance's Cloud Scheduler job equal to its `automatedBackupConfig`. */
export const schedule = step<"instance.v1.changed", Instance | undefined>({
  on: "instance.v1.changed",

  async run({ data, renew }, { store, scheduler }) {
    const instance = (await store.get<Instance>(instanceName(data.instance)))?.data;
    const job = instance && jobOf(data.instance, instance);
    await renew();
    if (job === undefined) await scheduler.remove(jobId(data.instance));
    else await scheduler.put(job);
    return instance;
  },

  async commit({ data, attempt, operation }, seen, change) {
    const instance = await change.read<Instance>(instanceName(data.instance));
    if (!isDeepStrictEqual(settingsOf(instance), settingsOf(seen)))
      throw new StatusError("ABORTED", `${instanceName(data.instance)} changed meanwhile`);
    // An attempt that was overtaken may put an old job yet: somebody looks again once it must be over.
    if (attempt > 1)
      await change.request(
        "instance.v1.changed",
        { instance: data.instance },
        `${operation} again`,
        later(change.now, secondLook),
      );
    await change.end({ response: { job: jobId(data.instance) } });
  },
});

type Outcome = Record<"healed" | "madeUp" | "startedEarly", number>;

/**
 * Finds jobs that are not what their instances say, whoever changed, paused or deleted them, and has each of them put right
 * by an Operation of its own; asks for the runs that were missed, and for those that start before a window. Costs one list
 * of jobs and one read of every instance with automated backups. An instance that cannot be understood fails it, once all
 * others have had their turn.
 */
export const reconciliation = step<"reconciliation.v1.requested", Outcome>({
  on: "reconciliation.v1.requested",
  goesOn: true,

  async run({ operation }, ports, signal) {
    const jobs = new Map((await ports.scheduler.list()).map((job) => [job.id, job]));
    const findings: Findings = { causes: new Map(), faults: [] };
    const runs: WantedRun[] = [];
    for await (const instances of enabledInstances(ports.store)) {
      const now = timeOf(ports.clock.now());
      const candidates = instances.flatMap((instance) => examined(instance, jobs, now, findings));
      runs.push(...(await askForRuns(candidates, ports, signal)));
    }
    for (const id of jobs.keys()) {
      const instanceId = instanceOfJob(id);
      if (instanceId !== undefined) findings.causes.set(instanceId, orphaned(id));
    }
    await heal(operation, findings.causes, ports, signal);
    if (findings.faults[0] !== undefined) throw findings.faults[0];
    const startedEarly = runs.filter(({ isEarly }) => isEarly).length;
    return { healed: findings.causes.size, madeUp: runs.length - startedEarly, startedEarly };
  },

  async commit(_, outcome, change) {
    await change.end({ response: outcome });
  },
});

interface Findings {
  /** What is wrong with a job, by its instance's id. */
  causes: Map<string, string>;
  faults: StatusError[];
}

/** Compares an instance with its job, which is then no longer among `jobs`, and answers the runs that it may want. */
function examined(instance: Instance, jobs: Map<string, Job>, now: string, { causes, faults }: Findings): Candidate[] {
  const id = parseInstanceName(instance.name);
  const job = jobs.get(jobId(id));
  jobs.delete(jobId(id));
  try {
    const cause = differenceOf(job, jobOf(id, instance));
    if (cause !== undefined) causes.set(id, cause);
    return candidatesOf(instance, now);
  } catch (error) {
    const { code, message } = asStatusError(error);
    faults.push(new StatusError(code, `${instance.name}: ${message}`, { cause: error }));
    return [];
  }
}

/** Asks for the backups that are wanted now, and answers them. */
async function askForRuns(candidates: readonly Candidate[], ports: Ports, signal: AbortSignal): Promise<WantedRun[]> {
  const runs = await wantedOf(candidates, ports.store);
  for (const { operationId, data, cause } of runs) {
    signal.throwIfAborted();
    await begin(ports, operationId, "backup.v1.requested", data, async (change) => {
      change.operation.cause = cause;
    });
  }
  return runs;
}

/** Has the job of each of these instances put right. */
async function heal(
  reconciledBy: string,
  causes: ReadonlyMap<string, string>,
  ports: Ports,
  signal: AbortSignal,
): Promise<void> {
  for (const [instance, cause] of causes) {
    signal.throwIfAborted();
    const operationId = operationIdFor("instance.v1.changed", `${reconciledBy} ${instance}`);
    await begin(ports, operationId, "instance.v1.changed", { instance }, async (change) => {
      change.operation.cause = cause;
    });
  }
}

/** The instances that are scheduled to be backed up, by pages. */
async function* enabledInstances(store: Store): AsyncGenerator<Instance[]> {
  let after: Doc<Instance> | undefined;
  do {
    const docs: Doc<Instance>[] = await store.query<Instance>({
      collection: "instances",
      where: [["automatedBackupConfig.automatedBackupMode", "==", "ENABLED"]],
      limit: page,
      ...(after !== undefined && { after }),
    });
    yield docs.map(({ data }) => data);
    after = docs.length === page ? docs.at(-1) : undefined;
  } while (after !== undefined);
}

/** The job that an instance is to have; `undefined` while it takes no automated backups. */
export function jobOf(instanceId: string, instance: Instance): Job | undefined {
  const due = scheduleOf(instance);
  if (due === undefined) return undefined;
  const data = scheduledRequest(instanceId, due);
  return { id: jobId(instanceId), ...due, type: "backup.v1.requested", data, state: "ENABLED" };
}

/** In what a job is another than it should be, its state apart. */
export const differingFields = (found: Job, wanted: Job): string[] =>
  (["cron", "timeZone", "type", "data"] as const).filter((field) => !isDeepStrictEqual(found[field], wanted[field]));

/** What is wrong with a job, in words; `undefined` where it is as it should be. */
function differenceOf(found: Job | undefined, wanted: Job | undefined): string | undefined {
  if (wanted === undefined) return found && orphaned(found.id);
  if (found === undefined) return `${wanted.id} was missing`;
  if (found.state !== wanted.state) return `${wanted.id} was ${found.state}`;
  const fields = differingFields(found, wanted);
  return fields.length === 0 ? undefined : `${wanted.id} had another ${fields.join(" and ")}`;
}

const orphaned = (id: string): string => `${id} is the job of nothing that is scheduled`;

const settingsOf = (instance: Instance | undefined) =>
  instance && { uid: instance.uid, config: instance.automatedBackupConfig };
