import { join } from "node:path";
import type { Parts } from "./parts.ts";
import { onFreePort } from "./port.ts";
import { type RunningProcess, startProcess } from "./process.ts";

/** One of our own servers, supervised: it is started again, on the same port, when it ends. */
export interface Service {
  /** "127.0.0.1:PORT" */
  host: string;
  process: RunningProcess;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  /** The stack's directory: each service keeps its state in a folder of its own, its log in `logs`. */
  directory: string;
  projectId: string;
  environment: NodeJS.ProcessEnv;
  report: (line: string) => void;
}

/** The Cloud Storage or the Cloud Scheduler server, on its preferred port or another. */
export function startService(
  name: "storage" | "scheduler",
  { directory, projectId, environment, report }: ServiceOptions,
  preferredPort: number | undefined,
): Promise<Service> {
  return onFreePort(preferredPort, async (port) => {
    const script = join(import.meta.dirname, name, "main.ts");
    const flags = ["--directory", join(directory, name), "--port", `${port}`, "--project", projectId];
    const running = await startProcess({
      ...supervised,
      name: `the ${name} server`,
      command: [process.execPath, script, ...flags],
      environment,
      logFile: logFile(directory, name),
      ready: new RegExp(`^${name} ready`),
      report,
    });
    return { host: `127.0.0.1:${port}`, process: running, stop: () => running.stop() };
  });
}

export interface FunctionOptions {
  directory: string;
  environment: NodeJS.ProcessEnv;
  /** Port of each function. */
  ports: Record<string, number>;
  /** Module that registers the functions; the project's own where absent. */
  source: string | undefined;
  /** A process for each function, instead of one for all light ones. */
  isolate: boolean;
  report: (line: string) => void;
}

/** Through these pass the bytes of a whole database: each has a process to itself, so that its memory stays a small one's. */
const heavy: readonly string[] = ["snapshot", "restore", "load"];

/** The functions behind their URLs, in several processes; one that dies is back within about a second. */
export function startFunctions(options: FunctionOptions, parts: Parts): Promise<RunningProcess[]> {
  const { directory, environment, ports, source, isolate, report } = options;
  const names = Object.keys(ports);
  const alone = names.filter((name) => isolate || heavy.includes(name));
  const together = names.filter((name) => !alone.includes(name));
  const hosts: [string, string[]][] = alone.map((name) => [`functions-${name}`, [name]]);
  if (together.length > 0) hosts.push(["functions", together]);
  return Promise.all(
    hosts.map(([name, members]) => {
      const flags = [
        ...members.flatMap((member) => ["--port", `${member}=${ports[member]}`]),
        ...(source === undefined ? [] : ["--source", source]),
      ];
      const start = startProcess({
        ...supervised,
        name,
        command: [process.execPath, ...sparing.flags, join(import.meta.dirname, "functions.ts"), ...flags],
        environment: { NODE_COMPILE_CACHE: join(directory, "compiled"), ...environment, ...sparing.environment },
        logFile: logFile(directory, name),
        ready: /^functions ready/,
        report,
      });
      return parts.add(start);
    }),
  );
}

/**
 * As a small instance runs a function: from the memory of a large machine V8 would derive a young generation that fills with
 * garbage first (60 to 100 MB) and an old one that is hardly ever collected (100 MB more while a restore reads), and glibc
 * an arena for each thread, 15 MB with two of them. Buffers of 64 KiB, the size in which sockets hand out bytes, are used again;
 * larger ones go back to the system at once.
 */
export const sparing = {
  flags: ["--max-semi-space-size=1", "--max-old-space-size=96"],
  environment: { MALLOC_ARENA_MAX: "1", MALLOC_MMAP_THRESHOLD_: "131072" },
};

/** Neither has anything to finish when it is asked to end: what it answered is on disk. */
const supervised = { restart: true, stopTimeoutMs: 2_000 };

/** Where a process of the stack writes what it says. */
export function logFile(directory: string, name: string): string {
  return join(directory, "logs", `${name}.log`);
}
