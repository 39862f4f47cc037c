import { isDeepStrictEqual } from "node:util";
import type { Instance } from "../shared/backup/backup.ts";
import { later, timeOf } from "../shared/backup/duration.ts";
import { instanceName, parseInstanceName } from "../shared/backup/name.ts";
import { instanceOfJob, jobId, scheduleOf } from "../shared/backup/schedule.ts";
import { StatusError } from "../shared/error.ts";
import { begin } from "../shared/pipeline/begin.ts";
import { operationIdFor } from "../shared/pipeline/identity.ts";
import type { Doc, Job, Ports, Store } from "../shared/pipeline/ports.ts";
import { scheduledRequest, type WantedRun, wantedRuns } from "../shared/pipeline/runs.ts";
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
    const job = instance && jobOf(instance);
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

/**
 * Finds jobs that are not what their instances say, whoever changed, paused or deleted them, and has each of them put right by
 * an Operation of its own; asks for the runs that were missed, and for those that start before a window. Costs one list of jobs and one read of every instance
 * with automated backups.
 */
export const reconciliation = step<"reconciliation.v1.requested", Record<"healed" | "madeUp" | "startedEarly", number>>(
  {
    on: "reconciliation.v1.requested",
    goesOn: true,

    async run({ operation }, ports, signal) {
      const jobs = new Map((await ports.scheduler.list()).map((job) => [job.id, job]));
      const causes = new Map<string, string>();
      const runs: WantedRun[] = [];
      for await (const instances of enabledInstances(ports.store)) {
        for (const instance of instances) {
          const id = parseInstanceName(instance.name);
          const cause = differenceOf(jobs.get(jobId(id)), jobOf(instance));
          if (cause !== undefined) causes.set(id, cause);
          jobs.delete(jobId(id));
        }
        signal.throwIfAborted();
        runs.push(...(await askForRuns(instances, ports, signal)));
      }
      for (const id of jobs.keys()) {
        const instanceId = instanceOfJob(id);
        if (instanceId !== undefined) causes.set(instanceId, `${id} is the job of nothing that is scheduled`);
      }
      for (const [instance, cause] of causes) {
        signal.throwIfAborted();
        const operationId = operationIdFor("instance.v1.changed", `${operation} ${instance}`);
        await begin(ports, operationId, "instance.v1.changed", { instance }, async (change) => {
          change.operation.cause = cause;
        });
      }
      const startedEarly = runs.filter(({ isEarly }) => isEarly).length;
      return { healed: causes.size, madeUp: runs.length - startedEarly, startedEarly };
    },

    async commit(_, outcome, change) {
      await change.end({ response: outcome });
    },
  },
);

/** Asks for the backups that are wanted of these instances now, and answers them. */
async function askForRuns(instances: readonly Instance[], ports: Ports, signal: AbortSignal): Promise<WantedRun[]> {
  const runs = await wantedRuns(instances, ports.store, timeOf(ports.clock.now()));
  for (const { operationId, data, cause } of runs) {
    signal.throwIfAborted();
    await begin(ports, operationId, "backup.v1.requested", data, async (change) => {
      change.operation.cause = cause;
    });
  }
  return runs;
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

/** The job that an instance is to have. */
function jobOf(instance: Instance): Job | undefined {
  const due = scheduleOf(instance);
  if (due === undefined) return undefined;
  const instanceId = parseInstanceName(instance.name);
  const data = scheduledRequest(instanceId, due);
  return { id: jobId(instanceId), ...due, type: "backup.v1.requested", data, state: "ENABLED" };
}

/** What is wrong with a job, in words; `undefined` where it is as it should be. */
function differenceOf(found: Job | undefined, wanted: Job | undefined): string | undefined {
  if (wanted === undefined) return found && `${found.id} is the job of nothing that is scheduled`;
  if (found === undefined) return `${wanted.id} was missing`;
  if (found.state !== wanted.state) return `${wanted.id} was ${found.state}`;
  const fields = (["cron", "timeZone", "type", "data"] as const).filter(
    (field) => !isDeepStrictEqual(found[field], wanted[field]),
  );
  return fields.length === 0 ? undefined : `${wanted.id} had another ${fields.join(" and ")}`;
}

const settingsOf = (instance: Instance | undefined) =>
  instance && { uid: instance.uid, config: instance.automatedBackupConfig };
