import { timeOf } from "../backup/duration.ts";
import type { Operation, Progress, Task } from "../backup/operation.ts";
import { asStatusError, StatusError } from "../error.ts";
import type { Claim } from "./claim.ts";
import { gained } from "./gain.ts";
import type { Doc, Ports } from "./ports.ts";
import type { Timing } from "./timing.ts";

/**
 * How often news of progress is written where there is any: at first every so many milliseconds, then after each quarter of the time that
 * has passed, as whoever waits for long looks less often, and each is a write that is paid for.
 */
const newsInterval = 2_000;
const newsShare = 1 / 4;

/**
 * Keeps a claim alive while its step runs, and ends the step when it cannot: by the monotonic clock, some time before
 * the lease would lapse, or before the platform would give up on the delivery.
 */
export class LeaseKeeper {
  /** Aborted when the step has to stop; its reason is the StatusError to fail with. */
  readonly signal: AbortSignal;
  readonly #ending = new AbortController();
  readonly #stopping = new AbortController();
  readonly #claim: Claim;
  readonly #ports: Ports;
  readonly #timing: Timing;
  readonly #goesOn: boolean;
  readonly #startTime: number;
  readonly #deliveryEnd: number;
  #leasedUntil: number;
  #renewTime: number;
  #progress: Progress | undefined;
  #keptBytes: number | undefined;
  #isNews = false;
  #renewing: Promise<void> = Promise.resolve();
  #loops: Promise<unknown> = Promise.resolve();

  /** `arrival`: by the monotonic clock, when the message came. `goesOn`: see `Step`. */
  constructor(claim: Claim, ports: Ports, timing: Timing, arrival: number, goesOn = false) {
    this.#claim = claim;
    this.#ports = ports;
    this.#timing = timing;
    this.#goesOn = goesOn;
    this.#leasedUntil = claim.leasedUntil;
    this.#startTime = this.#renewTime = ports.clock.monotonic();
    this.#deliveryEnd = arrival + timing.delivery;
    this.signal = this.#ending.signal;
  }

  start(): void {
    this.#loops = Promise.all([this.#keep(), this.#watch()]);
  }

  /** Stops renewing and waits for a renewal under way. */
  async stop(): Promise<void> {
    // Without a reason of ours Node would make an exception for it, with its stack.
    this.#stopping.abort("stopped");
    await this.#loops;
    await this.#renewing.catch(() => undefined); // its caller has the error
  }

  timeLeft(): number {
    return this.#deliveryEnd - this.#ports.clock.monotonic();
  }

  progress(doneBytes: number, totalBytes?: number, resume?: string, keptBytes = doneBytes): void {
    const step = this.#claim.task.type;
    const known = { ...(totalBytes !== undefined && { totalBytes }), ...(resume !== undefined && { resume }) };
    this.#progress = { step, doneBytes, ...known };
    if (this.#goesOn) this.#keptBytes = keptBytes;
    this.#isNews = true;
  }

  /** Extends the lease now, after any renewal under way; throws ABORTED where it is no longer ours. */
  renew(): Promise<void> {
    this.#renewing = this.#renewing.catch(() => undefined).then(() => this.#renewOnce());
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const { store, clock } = this.#ports;
    const { operationPath, taskPath, task } = this.#claim;
    this.signal.throwIfAborted();
    const started = clock.monotonic();
    const [operation, doc] = (await store.getAll([operationPath, taskPath])) as [Doc<Operation>?, Doc<Task>?];
    if (!isHeldBy(doc, task.lease)) throw this.#end(lost(taskPath));
    if (operation?.data.done !== false) throw this.#end(new StatusError("CANCELLED", `${operationPath} has ended`));
    const expireTime = clock.now() + this.#timing.lease;
    const data: Task = {
      ...doc.data,
      lease: { ...task.lease, expireTime: timeOf(expireTime) },
      relayTime: timeOf(expireTime + this.#timing.neglect),
      ...(this.#progress !== undefined && { progress: this.#progress }),
      ...(this.#keptBytes !== undefined && { gain: gained(task, doc.data.gain, this.#keptBytes) }),
    };
    await store.commit([{ kind: "put", path: taskPath, data, updateTime: doc.updateTime }]);
    this.#leasedUntil = started + this.#timing.lease;
    this.#renewTime = started;
    this.#isNews = false;
  }

  /** Renews in time; a renewal that fails is tried again until the watch ends it. */
  async #keep(): Promise<void> {
    const { clock, log } = this.#ports;
    while (await this.#slept(Math.min(this.#newsPause(), this.#timing.renewal))) {
      const isDue = clock.monotonic() - this.#renewTime >= this.#timing.renewal;
      if (!isDue && !this.#isNews) continue;
      try {
        await this.renew();
      } catch (error) {
        if (this.signal.aborted) return;
        log("WARNING", "lease not renewed", { task: this.#claim.taskPath, code: asStatusError(error).code });
      }
    }
  }

  #newsPause(): number {
    return Math.max(newsInterval, newsShare * (this.#ports.clock.monotonic() - this.#startTime));
  }

  async #watch(): Promise<void> {
    const { clock } = this.#ports;
    do {
      const now = clock.monotonic();
      if (now >= this.#deliveryEnd) return void this.#end(this.#overdue());
      if (now >= this.#leasedUntil - this.#timing.margin) return void this.#end(lost(this.#claim.taskPath));
    } while (
      await this.#slept(Math.min(this.#deliveryEnd, this.#leasedUntil - this.#timing.margin) - clock.monotonic())
    );
  }

  /** Whether the time passed without anybody stopping us. */
  async #slept(milliseconds: number): Promise<boolean> {
    if (this.#stopping.signal.aborted || this.signal.aborted) return false;
    const signal = AbortSignal.any([this.#stopping.signal, this.signal]);
    return this.#ports.clock.sleep(Math.max(milliseconds, 1), signal).then(
      () => !signal.aborted,
      () => false,
    );
  }

  #end(error: StatusError): StatusError {
    this.#ending.abort(error);
    return error;
  }

  #overdue(): StatusError {
    const seconds = (this.#ports.clock.monotonic() - this.#startTime) / 1000;
    const bytes = this.#progress?.doneBytes ?? 0;
    const speed = (bytes / seconds / 1e6).toFixed(1);
    const loss = this.#goesOn ? "" : ` at ${speed} MB/s, and it would start over`;
    return new StatusError(
      "DEADLINE_EXCEEDED",
      `${this.#claim.task.type} was not done within ${Math.round(seconds)} s: ${bytes} bytes done${loss}`,
    );
  }
}

/** Whether a Task is still in the hands of the claim that took this lease. */
export function isHeldBy(doc: Doc<Task> | undefined, lease: { owner: string; epoch: number }): doc is Doc<Task> {
  return doc?.data.lease?.owner === lease.owner && doc.data.lease.epoch === lease.epoch;
}

export const lost = (taskPath: string): StatusError =>
  new StatusError("ABORTED", `the lease of ${taskPath} was lost: somebody else goes on with it`);
