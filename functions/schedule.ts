import { isDeepStrictEqual } from "node:util";
import type { Instance } from "../shared/backup/backup.ts";
import { later } from "../shared/backup/duration.ts";
import { instanceName } from "../shared/backup/name.ts";
import { jobId, scheduleOf } from "../shared/backup/schedule.ts";
import { StatusError } from "../shared/error.ts";
import type { Job } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** When a job that took more than one attempt is looked at again, in seconds. */
const secondLook = 3600;

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

/** The job that an instance should have; `undefined` while it takes no automated backups. */
export function jobOf(instanceId: string, instance: Instance): Job | undefined {
  const due = scheduleOf(instance);
  if (due === undefined) return undefined;
  const data = { instance: instanceId, backupType: "AUTOMATED", schedule: due };
  return { id: jobId(instanceId), ...due, type: "backup.v1.requested", data, state: "ENABLED" };
}

const settingsOf = (instance: Instance | undefined) =>
  instance && { uid: instance.uid, config: instance.automatedBackupConfig };
