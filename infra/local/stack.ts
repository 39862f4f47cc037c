import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Assembly, assemble, projectId, type Settings } from "./assemble.ts";
import { saveFirestore } from "./engines.ts";
import { takeLock } from "./lock.ts";
import { newParts } from "./parts.ts";
import { forgetFolder } from "./replacement.ts";
import { logFile } from "./services.ts";
import { removeStackFile, type StackFile, writeStackFile } from "./stack-file.ts";

export interface StackOptions {
  /** Where the stack keeps everything: state, logs, secrets, stack.json. `.local` of the project where absent. */
  directory?: string;
  /** Forgets what an earlier stack left in the directory, its secrets excepted. */
  fresh?: boolean;
  /** `false`: start no functions, and make no subscriptions for them. */
  functions?: boolean;
  /** Module that registers the functions; the project's own where absent. */
  source?: string;
  /** A process for each function, instead of one for all light ones. */
  isolate?: boolean;
  /** Use the ports of firebase.json and their neighbours where they are free, instead of any. */
  usualPorts?: boolean;
  /** Variables that its functions, and commands that work on it, are told besides. */
  environment?: Record<string, string>;
  /** Hears how the start goes, and later of parts that had to be started again. */
  report?: (line: string) => void;
}

export interface Stack {
  /** What stack.json says. */
  readonly stack: StackFile;
  /** Variables to add to the environment of a function or a command that is to work on this stack. */
  readonly environment: Record<string, string>;
  readonly directory: string;
  /** Log file of each process, by the names of `pids`. */
  readonly logFiles: Record<string, string>;
  /** The present pid of each process that the stack started. */
  pids(): Record<string, number | undefined>;
  /** SIGKILL for every function host; each is back within about a second. */
  killFunctions(): void;
  /** Resolves with the reason when an emulator is lost, and with it all that it held: the stack is useless then. */
  readonly failed: Promise<string>;
  /** Saves Firestore and stops everything, within 10 s. May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts the whole local stack on 127.0.0.1 and settles when all of it answers; when that fails, nothing is left. Only
 * one stack can run in a directory: FAILED_PRECONDITION otherwise. Nothing outlives this process, even if it is killed.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const settings: Settings = {
    fresh: false,
    functions: true,
    source: undefined,
    isolate: false,
    usualPorts: false,
    environment: {},
    report: () => undefined,
    ...options,
    directory: resolve(options.directory ?? join(import.meta.dirname, "../../.local")),
  };
  const { directory } = settings;
  await mkdir(join(directory, "secrets"), { recursive: true, mode: 0o700 });
  const lock = await takeLock(join(directory, "lock"), `a local stack in ${directory}`);
  const parts = newParts();
  const abandon = async () => {
    try {
      await parts.stopAll();
    } finally {
      await removeStackFile(directory);
      await lock.release();
    }
  };
  try {
    if (settings.fresh) await forget(directory);
    await removeStackFile(directory);
    await mkdir(join(directory, "logs"), { recursive: true });
    const assembly = await assemble(settings, parts);
    await writeStackFile(directory, assembly.stack);
    return running(directory, assembly, abandon);
  } catch (error) {
    await abandon();
    throw error;
  }
}

async function forget(directory: string): Promise<void> {
  await forgetFolder(join(directory, "firestore"));
  for (const name of ["storage", "scheduler", "valkey", "logs"]) {
    await rm(join(directory, name), { recursive: true, force: true });
  }
}

function running(directory: string, assembly: Assembly, abandon: () => Promise<void>): Stack {
  const { pubsub, firestore, valkey, storage, scheduler, functions, stack, environment } = assembly;
  const pids = () => ({
    pubsub: pubsub.pid,
    firestore: firestore.pid,
    valkey: valkey.pid,
    storage: storage.process.pid,
    scheduler: scheduler.process.pid,
    ...Object.fromEntries(functions.map((host) => [host.name, host.pid])),
  });
  /** Who writes stops before what he writes is saved: 2 s and 5 s at most, Valkey 8 s meanwhile, then 2 s for the rest. */
  async function shutDown(): Promise<void> {
    const trial = valkey.stop();
    try {
      await Promise.all([scheduler, ...functions].map((part) => part.stop()));
      await saveFirestore(firestore, projectId, directory);
    } finally {
      await trial;
      await abandon();
    }
  }
  let stopping: Promise<void> | undefined;
  return {
    stack,
    environment,
    directory,
    logFiles: Object.fromEntries(Object.keys(pids()).map((name) => [name, logFile(directory, name)])),
    pids,
    killFunctions() {
      for (const host of functions) host.kill("SIGKILL");
    },
    failed: Promise.race([
      firestore.ended.then(() => `the Firestore emulator ended: see ${logFile(directory, "firestore")}`),
      pubsub.ended.then(() => `the Pub/Sub emulator ended: see ${logFile(directory, "pubsub")}`),
    ]),
    stop() {
      stopping ??= shutDown();
      return stopping;
    },
  };
}
