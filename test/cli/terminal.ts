import { run } from "../../infra/cli/run.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import type { World } from "../pipeline/world.ts";

/** What one run of the command left. */
export interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export interface Options {
  ports?: Ports;
  /** What is typed, or read from standard input. */
  input?: string | Uint8Array;
  isTerminal?: boolean;
  /** The width of the terminal that shows standard output; a pipe where absent. */
  columns?: number;
  environment?: Record<string, string>;
  signal?: AbortSignal;
}

/** Runs a command line in this process: `valkeep("backups list")`. Words are told apart by spaces, or come apart already. */
export async function valkeep(line: string | string[], options: Options = {}): Promise<Outcome> {
  const { ports, input = "", isTerminal = false, environment = {}, columns, signal } = options;
  const outcome = { exitCode: -1, stdout: "", stderr: "" };
  async function* stdin() {
    yield Buffer.from(input);
  }
  outcome.exitCode = await run(typeof line === "string" ? line.split(" ").filter(Boolean) : line, {
    ...(ports !== undefined && { ports }),
    ...(signal !== undefined && { signal }),
    ...(columns !== undefined && { columns }),
    stdin: stdin(),
    stdout: { write: (text) => (outcome.stdout += text) },
    stderr: { write: (text) => (outcome.stderr += text) },
    isTerminal,
    environment: { VALKEEP_LOCATION: "asia-northeast1", ...environment },
  });
  return outcome;
}

/** The same on the whole system in memory, whose functions work and whose time passes while the command waits. */
export async function valkeepOn(world: World, line: string, options: Omit<Options, "ports"> = {}): Promise<Outcome> {
  let outcome: Outcome | undefined;
  const running = valkeep(line, { ...options, ports: world.ports }).then((ended) => {
    outcome = ended;
    return ended;
  });
  for (let round = 0; outcome === undefined; round++) {
    if (round > 5_000) throw new Error(`valkeep ${line} does not end`);
    await new Promise((resolve) => setTimeout(resolve, 1)); // modules are loaded and files are read in real time
    await world.settle();
    await world.clock.advance(1_000);
  }
  return await running;
}
