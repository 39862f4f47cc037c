import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type Config, readConfig } from "../../shared/config.ts";
import { StatusError } from "../../shared/error.ts";
import type { Log } from "../../shared/pipeline/ports.ts";
import { createSecrets } from "../../shared/secret.ts";
import { stackEnvironment } from "../local/environment.ts";
import type { StackFile } from "../local/stack-file.ts";
import type { Connection } from "./session.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Connects to the local stack that runs, else to the Google project that the environment names. INVALID_ARGUMENT names the
 * variable that is missing.
 */
export async function connect(environment: Environment, say: (line: string) => void): Promise<Connection> {
  const found = findStack(environment, process.cwd());
  if (found !== undefined) say(`using the local stack of ${found.file}`);
  // Google's libraries find the emulators by the process's own environment.
  if (found !== undefined) Object.assign(process.env, found.variables);
  const config = configOf({ ...environment, ...found?.variables });
  const { createPorts } = await import("../../shared/google.ts");
  const { isLocal, location, secretsDirectory: directory } = config;
  const resolveSecret = createSecrets({ isLocal, directory, environment });
  return {
    ports: { ...createPorts(config), log: logTo(say) },
    location,
    async deniedToRestore(instance, signal) {
      const { deniedToRestore } = await import("./instances/permissions.ts");
      return await deniedToRestore(instance, resolveSecret, signal);
    },
    async lookAtVolume(instance, signal) {
      const { lookAtVolume } = await import("./instances/volume.ts");
      return await lookAtVolume(instance, resolveSecret, signal);
    },
  };
}

/** Where a running local stack is, and the variables by which it is reached. */
export interface FoundStack {
  file: string;
  variables: Record<string, string>;
}

/**
 * The running local stack: the one whose file, or whose folder, `VALKEEP_STACK` names (`none`: none at all), else `.local/stack.json` in
 * the directory, above it, or in the project. FAILED_PRECONDITION if the named one does not run.
 */
export function findStack(environment: Environment, directory: string): FoundStack | undefined {
  const named = environment.VALKEEP_STACK;
  if (named === "none") return undefined;
  if (named !== undefined && named !== "") {
    const file = stackFileAt(resolve(directory, named));
    const stack = readStack(file);
    if (stack !== undefined) return stack;
    const advice = `npm run local -- --directory ${dirname(file)} starts it`;
    throw new StatusError(
      "FAILED_PRECONDITION",
      `no local stack runs at ${named}, which VALKEEP_STACK names: ${advice}`,
    );
  }
  for (const place of [...above(directory), join(import.meta.dirname, "../..")]) {
    const stack = readStack(join(place, ".local", "stack.json"));
    if (stack !== undefined) return stack;
  }
  return undefined;
}

function* above(directory: string): Generator<string> {
  yield directory;
  if (dirname(directory) !== directory) yield* above(dirname(directory));
}

const stackFileAt = (path: string): string => (path.endsWith(".json") ? path : join(path, "stack.json"));

function readStack(file: string): FoundStack | undefined {
  if (!existsSync(file)) return undefined;
  const stack = parsed(file);
  if (!isRunning(stack.pid)) return undefined;
  return { file, variables: stackEnvironment(stack, dirname(file)) };
}

function parsed(file: string): StackFile {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as StackFile;
  } catch (cause) {
    throw new StatusError("FAILED_PRECONDITION", `${file} is not what a local stack writes: remove it`, { cause });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it runs, as somebody else
  }
}

function configOf(environment: Environment): Readonly<Config> {
  try {
    return readConfig(environment);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const advice = "npm run local starts one; for a Google project set the variable";
    throw new StatusError("INVALID_ARGUMENT", `no local stack runs, and ${reason}: ${advice}`, { cause });
  }
}

/** Warnings only, on standard error: standard output belongs to the result. */
function logTo(say: (line: string) => void): Log {
  return (severity, message) => {
    if (severity !== "INFO") say(message);
  };
}
