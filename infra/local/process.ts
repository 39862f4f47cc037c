import { setTimeout as sleep } from "node:timers/promises";
import { StatusError } from "../../shared/error.ts";
import { end, howItEnded, type Incarnation, isAlive, killGroup, type LaunchOptions, launch } from "./incarnation.ts";

export interface ProcessOptions extends LaunchOptions {
  /** What errors and logs call it. */
  name: string;
  /** A line that it prints once it serves, or a question that is asked until the answer is true. */
  ready: RegExp | (() => Promise<boolean>);
  /** How long it may take to get ready, in milliseconds. */
  readyTimeoutMs?: number;
  /** Start it again whenever it ends without being asked to. */
  restart?: boolean;
  /** Hears of every end that nobody asked for, and that it is started again. */
  report?: (line: string) => void;
  /** How long it may take to end after SIGTERM, in milliseconds, before SIGKILL. */
  stopTimeoutMs?: number;
}

export interface RunningProcess {
  readonly name: string;
  /** Of the present incarnation; `undefined` while there is none. */
  readonly pid: number | undefined;
  /** What the ready pattern matched, where `ready` is one. */
  readonly readyMatch: RegExpExecArray | undefined;
  /** Sends the signal to the whole process group. A process with `restart` then comes back. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM (or the signal asked for), then SIGKILL; settles when the whole group is gone. May be called again. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when it has ended for good, asked or not. */
  readonly ended: Promise<void>;
}

const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 5_000;
/** A process that lived this long starts its back-off anew. */
const STEADY_MS = 10_000;

/**
 * Starts a process in a group of its own and waits until it is ready. Nothing of the group outlives us, even if we
 * are killed. Throws UNAVAILABLE with its last lines of output when it ends before it is ready, DEADLINE_EXCEEDED
 * when it takes too long; then nothing of it is left.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const stopping = new AbortController();
  let current = launch(options);
  let readyMatch: RegExpExecArray | undefined;
  try {
    readyMatch = await becomeReady(options, current);
  } catch (error) {
    await end(current, "SIGKILL", 5_000);
    throw error;
  }
  const ended = supervise();

  async function supervise(): Promise<void> {
    for (let backoff = FIRST_BACKOFF_MS; ; ) {
      const startTime = performance.now();
      await current.gone;
      if (performance.now() - startTime > STEADY_MS) backoff = FIRST_BACKOFF_MS;
      if (!options.restart || stopping.signal.aborted) return;
      await sleep(backoff, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      options.report?.(`${options.name} ended with ${howItEnded(current.child)}: starting it again`);
      backoff = Math.min(backoff * 2, LAST_BACKOFF_MS);
      current = launch(options);
    }
  }

  return {
    name: options.name,
    get pid() {
      return isAlive(current.child) ? current.child.pid : undefined;
    },
    readyMatch,
    kill: (signal) => killGroup(current.child, signal),
    async stop(signal = "SIGTERM") {
      stopping.abort();
      await end(current, signal, options.stopTimeoutMs ?? 5_000);
      await ended;
    },
    ended,
  };
}

async function becomeReady(options: ProcessOptions, started: Incarnation): Promise<RegExpExecArray | undefined> {
  const { name, ready, readyTimeoutMs = 60_000, logFile } = options;
  const over = new AbortController();
  const lastWords = () => `${cause(started.tail)}${logFile ? ` (see ${logFile})` : ""}`;
  const tooEarly = started.gone.then(() => {
    throw new StatusError(
      "UNAVAILABLE",
      `${name} ended with ${howItEnded(started.child)} before it was ready${lastWords()}`,
    );
  });
  const tooLate = sleep(readyTimeoutMs, undefined, { signal: over.signal }).then(() => {
    throw new StatusError("DEADLINE_EXCEEDED", `${name} was not ready within ${readyTimeoutMs} ms${lastWords()}`);
  });
  const answer = ready instanceof RegExp ? readyLine(started, ready) : answered(ready, over.signal);
  for (const loser of [tooEarly, tooLate, answer]) loser.catch(() => undefined);
  try {
    return await Promise.race([tooEarly, tooLate, answer]);
  } finally {
    over.abort();
  }
}

/** Of the last lines those from the first that names an error, for the reason seldom comes last; else the very last. */
function cause(tail: string[]): string {
  const lines = tail.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("at "));
  const first = lines.findIndex((line) => /error\b|exception|fail/i.test(line));
  const chosen = first >= 0 ? lines.slice(first, first + 4) : lines.slice(-2);
  return chosen.length > 0 ? `: ${chosen.join(" | ").slice(0, 500)}` : "";
}

function readyLine(started: Incarnation, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve) => {
    started.onLine((line) => {
      const match = pattern.exec(line);
      if (match) resolve(match);
    });
  });
}

/** Asks every 25 ms; a probe that throws is one that has no answer yet. */
async function answered(probe: () => Promise<boolean>, signal: AbortSignal): Promise<undefined> {
  while (!signal.aborted && !(await probe().catch(() => false))) await sleep(25, undefined, { signal });
  return undefined;
}
