import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

/** The pids of a process's children, whatever groups and sessions they are in. */
export function childrenOf(pid: number): number[] {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n");
  const pairs = lines.map((line) => line.trim().split(/\s+/).map(Number));
  return pairs.filter(([, parent]) => parent === pid).flatMap(([child]) => (child === undefined ? [] : [child]));
}

/** Whether the process runs; one that has ended and was not yet waited for does not. */
export function isRunning(pid: number): boolean {
  try {
    const state = execFileSync("ps", ["-o", "stat=", "-p", `${pid}`], { encoding: "utf8" });
    return !state.trim().startsWith("Z");
  } catch {
    // ps answers 1 for a pid that it does not know.
    return false;
  }
}

/** Settles with the answer once it is neither false nor nothing; the test's own timeout ends a wait in vain. */
export async function until<T>(question: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    await sleep(20);
  }
}
