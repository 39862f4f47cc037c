import { setTimeout as sleep } from "node:timers/promises";

/** How long failures are endured. */
export interface Limits {
  /** Nothing moves on a connection for so long: it is given up. Milliseconds. */
  stallMs: number;
  /** No attempt gets any further for so long: the call fails. Milliseconds. */
  giveUpMs: number;
}

/** Shorter than the 60 s after which a Valkey server cuts a stalled replica off (`repl-timeout`). */
export const defaultLimits: Limits = { stallMs: 10_000, giveUpMs: 30_000 };

/** Waits between the attempts of one call, longer and longer, and knows when there is no point any more. */
export interface Patience {
  /** Something got further than ever before: all is forgiven. */
  progress(): void;
  /** Whether nothing has got any further for so long that one should stop. */
  isOver(): boolean;
  pause(signal: AbortSignal | undefined): Promise<void>;
}

const firstPauseMs = 100;
const longestPauseMs = 2_000;

/** Patience that begins now. */
export function createPatience({ giveUpMs }: Limits): Patience {
  let since = performance.now();
  let pauseMs = firstPauseMs;
  return {
    progress() {
      since = performance.now();
      pauseMs = firstPauseMs;
    },
    isOver: () => performance.now() - since >= giveUpMs,
    async pause(signal) {
      const left = Math.max(0, giveUpMs - (performance.now() - since));
      try {
        await sleep(Math.min(pauseMs, left), undefined, signal === undefined ? {} : { signal });
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      }
      pauseMs = Math.min(pauseMs * 2, longestPauseMs);
    },
  };
}
