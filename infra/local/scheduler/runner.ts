import { status } from "@grpc/grpc-js";
import { type Job, nextDueTime, retryDelay } from "./job.ts";
import type { JobStore } from "./job-store.ts";

/** Sends one message; rejects when it was not taken. `data` is base64. */
export type Publish = (target: Job["pubsubTarget"]) => Promise<void>;

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms`, or when the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

export interface Runner {
  /** Runs one job now, due or not, without waiting for the outcome. */
  run(name: string): void;
  /** The jobs have changed: look again when the next one is due. */
  wake(): void;
  /** Starts no further attempt. */
  stop(): void;
}

/** The longest sleep: a machine that was suspended notices so much later. */
const LONGEST_SLEEP_MS = 30_000;

/**
 * Publishes jobs when they are due. What is due stays due until it was published or given up, so a job that came due
 * while nothing ran here is run once, late; a crash between publishing and noting it publishes twice, as Google may.
 */
export function startRunner(store: JobStore, publish: Publish, clock: Clock): Runner {
  const stopped = new AbortController();
  let changed = new AbortController();
  const running = new Set<string>();

  async function watch(): Promise<void> {
    while (!stopped.signal.aborted) {
      changed = new AbortController();
      for (const job of store.all()) if (isDue(job) && !running.has(job.name)) void runDue(job.name);
      const next = store.all().filter((job) => job.scheduleTime !== undefined && !running.has(job.name));
      const waits = next.map((job) => Date.parse(job.scheduleTime ?? "") - clock.now());
      await clock.sleep(Math.min(LONGEST_SLEEP_MS, ...waits), AbortSignal.any([stopped.signal, changed.signal]));
    }
  }

  const isDue = (job: Job) => job.scheduleTime !== undefined && Date.parse(job.scheduleTime) <= clock.now();

  async function runDue(name: string): Promise<void> {
    running.add(name);
    const dueTime = store.get(name)?.scheduleTime;
    await attempt(name, () => store.get(name)?.scheduleTime === dueTime);
    running.delete(name);
    const job = store.get(name);
    // Updated or paused meanwhile: its new due time stands.
    if (job !== undefined && job.scheduleTime === dueTime && !stopped.signal.aborted) {
      store.put(withScheduleTime(job, clock.now()));
    }
    changed.abort();
  }

  /** Publishes until it works, is given up, or is not wanted any more; each attempt is noted on the job. */
  async function attempt(name: string, isWanted: () => boolean): Promise<void> {
    const startTime = clock.now();
    for (let retry = 1; ; retry++) {
      const job = store.get(name);
      if (job === undefined) return;
      const lastAttemptTime = new Date(clock.now()).toISOString();
      const outcome = await publish(job.pubsubTarget).then(() => ({ code: status.OK, message: "" }), statusOf);
      const after = store.get(name);
      if (after === undefined || stopped.signal.aborted) return;
      store.put({ ...after, lastAttemptTime, status: outcome });
      if (outcome.code === status.OK) return;
      const delay = retryDelay(job.retryConfig, retry, clock.now() - startTime);
      if (delay === undefined) return;
      await clock.sleep(delay, stopped.signal);
      if (stopped.signal.aborted || !isWanted()) return;
    }
  }

  void watch();
  return {
    run: (name) => void attempt(name, () => true),
    wake: () => changed.abort(),
    stop: () => stopped.abort(),
  };
}

/** The job with its next due time after `now`; with none while PAUSED. */
export function withScheduleTime(job: Job, now: number): Job {
  const { scheduleTime: _, ...rest } = job;
  const next = job.state === "ENABLED" ? nextDueTime(job, now) : undefined;
  return next === undefined ? rest : { ...rest, scheduleTime: next };
}

function statusOf(error: unknown): { code: number; message: string } {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return { code: typeof code === "number" ? code : status.UNKNOWN, message: String(message ?? error) };
}
