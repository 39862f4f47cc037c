import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { guard, unguard } from "./guardian.ts";

export interface LaunchOptions {
  /** Program and arguments. */
  command: readonly string[];
  /** The whole environment of the process; ours where absent. */
  environment?: NodeJS.ProcessEnv;
  /** Working directory; ours where absent. */
  directory?: string;
  /** Both output streams are appended here; without it they are read and forgotten. */
  logFile?: string;
}

const TAIL_LINES = 30;

/** One incarnation: the process, what it said last, and when it is gone with its whole group. */
export interface Incarnation {
  child: ChildProcess;
  tail: string[];
  onLine: (listener: (line: string) => void) => void;
  gone: Promise<void>;
}

/** Starts the program in a process group of its own that does not outlive us; both its output streams go to the log. */
export function launch({ command, environment, directory, logFile }: LaunchOptions): Incarnation {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: environment ?? process.env,
    ...(directory === undefined ? {} : { cwd: directory }),
  });
  if (child.pid !== undefined) guard(child.pid);
  const tail: string[] = [];
  const listeners: ((line: string) => void)[] = [];
  const log = logFile === undefined ? undefined : createWriteStream(logFile, { flags: "a" });
  const logged = log && new Promise<void>((resolve) => log.once("close", resolve));
  log?.on("error", (error) => {
    tail.push(`cannot write the log: ${error.message}`);
    // Nobody would read them any more, and the process would wait for ever to be heard.
    for (const stream of [child.stdout, child.stderr]) stream?.resume();
  });
  for (const stream of [child.stdout, child.stderr]) {
    if (log) stream?.pipe(log, { end: false });
    eachLine(stream, (line) => {
      tail.push(line);
      if (tail.length > TAIL_LINES) tail.shift();
      for (const listener of listeners) listener(line);
    });
  }
  const gone = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      tail.push(error.message);
      if (child.pid === undefined) resolve();
    });
    child.once("exit", () => {
      if (child.pid === undefined) return;
      signalGroup(child.pid, "SIGKILL");
      unguard(child.pid);
    });
    child.once("close", () => resolve());
  }).then(() => {
    log?.end();
    return logged;
  });
  return { child, tail, onLine: (listener) => listeners.push(listener), gone };
}

function eachLine(stream: NodeJS.ReadableStream | null, listener: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = (lines.pop() ?? "").slice(-65_536);
    for (const line of lines) listener(line);
  });
  stream?.on("end", () => {
    if (rest !== "") listener(rest);
  });
}

/** Sends the signal, and SIGKILL where patience ends; settles when nothing is left of the group. */
export async function end(incarnation: Incarnation, signal: NodeJS.Signals, patienceMs: number): Promise<void> {
  const over = new AbortController();
  killGroup(incarnation.child, signal);
  const hurry = sleep(patienceMs, undefined, { signal: over.signal }).then(
    () => killGroup(incarnation.child, "SIGKILL"),
    () => undefined,
  );
  await incarnation.gone;
  over.abort();
  await hurry;
}

/** Does nothing once the leader is gone: what was left of its group went with it, and the number may be another's. */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid !== undefined && isAlive(child)) signalGroup(child.pid, signal);
}

/** For a report: the signal or the exit code. */
export function howItEnded({ signalCode, exitCode }: ChildProcess): string {
  return signalCode ?? (exitCode === null ? "no start" : `code ${exitCode}`);
}

export function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** A group that is gone already is what we wanted. */
function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
