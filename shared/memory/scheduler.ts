import { assertSchedule } from "../backup/schedule.ts";
import { StatusError } from "../error.ts";
import type { Clock, Events, Job, Scheduler } from "../pipeline/ports.ts";

/** Jobs in memory. Nothing fires by itself: `run` publishes to `events`, as a job that comes due does. */
export function createMemoryScheduler(ports: { events: Events; clock: Pick<Clock, "now"> }): Scheduler {
  const jobs = new Map<string, Job>();
  return {
    async get(id) {
      return structuredClone(jobs.get(id));
    },
    async put(job) {
      if (!/^[A-Za-z0-9_-]{1,500}$/.test(job.id))
        throw new StatusError(
          "INVALID_ARGUMENT",
          `job ${JSON.stringify(job.id.slice(0, 100))}: expected an id of 1 to 500 letters, digits, '_' and '-'`,
        );
      assertSchedule(job);
      const { id, cron, timeZone, type, data, state } = job;
      const { lastAttemptTime } = jobs.get(id) ?? {};
      const kept = { id, cron, timeZone, type, data: JSON.parse(JSON.stringify(data)) as unknown, state };
      jobs.set(id, lastAttemptTime === undefined ? kept : { ...kept, lastAttemptTime });
    },
    async remove(id) {
      jobs.delete(id);
    },
    async list() {
      return structuredClone([...jobs.values()]).sort((a, b) => (a.id < b.id ? -1 : 1));
    },
    async run(id) {
      const job = jobs.get(id);
      if (job === undefined) throw new StatusError("NOT_FOUND", `running job ${id}: there is no such job`);
      jobs.set(id, { ...job, lastAttemptTime: new Date(ports.clock.now()).toISOString() });
      await ports.events.publish({ type: job.type, data: job.data, attributes: {} });
    },
  };
}
