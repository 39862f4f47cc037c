import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { peakOf } from "./peak.ts";

/** Longer than anything here takes: a program that hangs must not hold up an unattended run for ever. */
const timeoutMs = 900_000;

export interface ProgramOptions {
  /** File that it reads as its standard input. */
  stdin?: string;
  /** Variables to add to its environment. */
  environment?: Record<string, string>;
  /** Look at its memory while it runs, every few milliseconds. Costs a little time. */
  watchMemory?: boolean;
}

export interface ProgramRun {
  /** From its start to its end, its own start-up included. */
  seconds: number;
  stdout: string;
  /** The peak of its resident memory, as far as it was watched. */
  peakBytes: number;
}

/** Runs a program to its end. Throws with its last words if it fails. */
export async function runProgram(command: readonly string[], options: ProgramOptions = {}): Promise<ProgramRun> {
  const { stdin, environment = {}, watchMemory = false } = options;
  const [program = "", ...args] = command;
  const input = stdin === undefined ? undefined : openSync(stdin, "r");
  try {
    const begin = performance.now();
    const stdio = [input ?? "ignore", "pipe", "pipe"] as const;
    const env = { ...process.env, ...environment };
    const child = spawn(program, args, { stdio: [...stdio], timeout: timeoutMs, env });
    const words = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const)
      child[stream]?.setEncoding("utf8").on("data", (text: string) => {
        words[stream] = `${words[stream]}${text}`.slice(-100_000);
      });
    let peakBytes = 0;
    const look = () => {
      peakBytes = Math.max(peakBytes, peakOf(child.pid) ?? 0);
    };
    const watch = watchMemory ? setInterval(look, 5) : undefined;
    const how = await new Promise<string>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(signal ?? String(code)));
    }).finally(() => clearInterval(watch));
    const seconds = (performance.now() - begin) / 1000;
    if (how !== "0")
      throw new Error(`${command.join(" ")} ended with ${how}: ${words.stderr.slice(-500)}${words.stdout.slice(-500)}`);
    return { seconds, stdout: words.stdout, peakBytes };
  } finally {
    if (input !== undefined) closeSync(input);
  }
}
