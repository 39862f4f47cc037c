import type { Ports } from "../../shared/pipeline/ports.ts";

const second = 1_000;

/** How many keys may be touched, and when. */
export interface Pace {
  /** Keys that are let through at once at most. */
  bite: number;
  /** Waits until so many more keys, `bite` at most, may be touched. */
  take(keys: number): Promise<void>;
  /** They were touched, the last of them now. */
  taken(keys: number): void;
}

/**
 * Lets no more than `keysPerSecond` through in any second, and `most` at once. It begins as one that is used up, as a message before
 * this one may have just ended.
 */
export function paceOf(
  keysPerSecond: number | undefined,
  most: number,
  clock: Ports["clock"],
  signal: AbortSignal,
): Pace {
  if (keysPerSecond === undefined) return { bite: most, take: async () => undefined, taken: () => undefined };
  let recent = [{ time: clock.monotonic(), keys: keysPerSecond }];
  return {
    bite: Math.min(most, keysPerSecond),
    async take(keys) {
      for (;;) {
        const now = clock.monotonic();
        recent = recent.filter(({ time }) => now - time < second);
        const [oldest] = recent;
        const used = recent.reduce((sum, one) => sum + one.keys, 0);
        if (oldest === undefined || used + keys <= keysPerSecond) return;
        await clock.sleep(oldest.time + second - now, signal);
      }
    },
    taken: (keys) => void recent.push({ time: clock.monotonic(), keys }),
  };
}
