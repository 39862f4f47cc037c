import { Cron } from "croner";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import type { PublishedMessage } from "../../shared/memory/events.ts";
import type { Job } from "../../shared/pipeline/ports.ts";
import type { Fault } from "./crash.ts";
import type { World } from "./world.ts";

/** How the world goes wrong while time passes; everything by chance comes from a seed. */
export interface Weather {
  /** Cloud Scheduler publishes nothing then. */
  isSchedulerDown(now: number): boolean;
  /** How the next delivery dies, if it does. */
  faultOf(): { fault: Fault; effect: number } | undefined;
  /** How often Pub/Sub brings a new message. */
  copies(): number;
}

const minute = 60_000;

/**
 * Lets time pass until `until` (milliseconds since 1970) as in production: Cloud Scheduler's jobs fire when they are due, messages
 * come, come again after ten seconds where a delivery failed, and the relay ticks each minute in which it has something to do.
 */
export async function live(world: World, until: number, weather: Weather): Promise<void> {
  const { clock, events, ports } = world;
  let waiting: { message: PublishedMessage; due: number }[] = [];
  const fired = new Map<string, number>();
  const start = clock.now();

  /** When a job is due next, by the cron that it has now. */
  const dueOf = (job: Job): number => {
    const since = new Date(fired.get(job.id) ?? start);
    return new Cron(job.cron, { timezone: job.timeZone }).nextRun(since)?.getTime() ?? Number.POSITIVE_INFINITY;
  };

  async function fireJobs(): Promise<void> {
    for (const job of await ports.scheduler.list()) {
      const due = dueOf(job);
      if (due > clock.now()) continue;
      fired.set(job.id, due);
      if (job.state === "ENABLED" && !weather.isSchedulerDown(clock.now())) await ports.scheduler.run(job.id);
    }
  }

  async function deliverDue(): Promise<boolean> {
    for (const message of events.take())
      for (let copy = weather.copies(); copy > 0; copy--) waiting.push({ message, due: 0 });
    const due = waiting.filter((entry) => entry.due <= clock.monotonic());
    waiting = waiting.filter((entry) => entry.due > clock.monotonic());
    for (const { message } of due) {
      const doom = weather.faultOf();
      world.plan(doom && { delivery: 0, ...doom });
      if ((await world.deliver(message)) !== "done") waiting.push({ message, due: clock.monotonic() + 10_000 });
    }
    return due.length > 0;
  }

  /** When the relay next has something to do, at a whole minute. */
  async function relayDue(): Promise<number> {
    const outbox = await ports.store.query<{ relayTime: string }>({ collection: "outbox" });
    const times = outbox.map(({ data }) => data.relayTime);
    const running = await ports.store.query<Operation>({ collection: "operations", where: [["done", "==", false]] });
    for (const { path, data } of running) {
      const tasks = await ports.store.query<Task>({ collection: `${path}/tasks` });
      times.push(data.deadlineTime, ...tasks.flatMap((task) => task.data.relayTime ?? []));
    }
    return Math.ceil(Math.min(...times.map(Date.parse)) / minute) * minute;
  }

  while (clock.now() < until) {
    if (await deliverDue()) continue;
    const relay = await relayDue();
    if (relay <= clock.now() && !weather.isSchedulerDown(clock.now())) await world.tick();
    const jobs = (await ports.scheduler.list()).map(dueOf);
    const messages = waiting.map(({ due }) => clock.now() + due - clock.monotonic());
    const next = Math.min(until, ...jobs, ...messages, Math.max(relay, clock.now() + minute));
    await clock.advance(Math.max(1, next - clock.now()));
    await fireJobs();
  }
}
