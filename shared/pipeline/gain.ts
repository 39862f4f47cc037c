import type { Gain, Task } from "../backup/operation.ts";
import type { Timing } from "./timing.ts";

const nothing: Gain = { keptBytes: 0, mostBytes: 0, freeAttempts: 0 };

/**
 * What a Task's attempts have brought once the present one, which claimed it as `claimed`, has come to `keptBytes`; `stored` is what
 * that attempt wrote down last. One that leaves more than it found has brought something and does not count. The count ends at one
 * that came further than any before: whoever begins anew and comes to the same place again and again is given up all the same.
 */
export function gained(claimed: Task, stored: Gain | undefined, keptBytes: number): Gain {
  const found = claimed.gain ?? nothing;
  const mostBytes = Math.max(stored?.mostBytes ?? 0, keptBytes);
  if (keptBytes > found.mostBytes) return { keptBytes, mostBytes, freeAttempts: claimed.attempt };
  const isFurther = keptBytes > found.keptBytes;
  return { keptBytes, mostBytes, freeAttempts: found.freeAttempts + (isFurther ? 1 : 0) };
}

/** Attempts at a Task that count against those that are allowed, the present one with them until it has brought something. */
export const inVain = ({ attempt, gain = nothing }: Task): number => attempt - gain.freeAttempts;

/** Why a Task is given up. The claim that finds too many behind it was none of them. */
export function givenUp(task: Task, reason: string, { maxAttempts }: Timing): string {
  const count = Math.min(inVain(task), maxAttempts);
  const { freeAttempts } = task.gain ?? nothing;
  const others = freeAttempts === 0 ? "" : ` that came no further, of ${freeAttempts + count}`;
  return `gave up after ${count} attempts${others}: ${reason}`;
}
