import type { Clock } from "../pipeline/ports.ts";

/** A clock that stands still until it is told to go on. */
export interface VirtualClock extends Clock {
  /**
   * Moves both times on by so many milliseconds and wakes who sleeps until then, the earliest first, each at its own
   * time. Before, between and after, everything that can run without the clock runs to its end.
   */
  advance(milliseconds: number): Promise<void>;
  /** Moves `now` alone, as a clock that is set does; wakes nobody. */
  jump(milliseconds: number): void;
  /** When the next sleeper wakes, on the monotonic time; `undefined` if nobody sleeps. */
  nextWake(): number | undefined;
}

interface Sleeper {
  due: number;
  wake: () => void;
}

/** Starts at 2026-01-01T00:00:00Z, or at `start` (milliseconds since 1970); monotonic time starts at 0. */
export function createVirtualClock(start: number = Date.UTC(2026, 0, 1)): VirtualClock {
  let monotonic = 0;
  let offset = start;
  const sleepers: Sleeper[] = [];

  function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const cancelled = () => {
        sleepers.splice(sleepers.indexOf(sleeper), 1);
        reject(signal?.reason);
      };
      const sleeper = {
        due: monotonic + Math.max(0, milliseconds),
        wake: () => {
          signal?.removeEventListener("abort", cancelled);
          resolve();
        },
      };
      insert(sleepers, sleeper);
      signal?.addEventListener("abort", cancelled, { once: true });
    });
  }

  async function advance(milliseconds: number): Promise<void> {
    const until = monotonic + milliseconds;
    await settled();
    for (let next = sleepers[0]; next !== undefined && next.due <= until; next = sleepers[0]) {
      sleepers.shift();
      monotonic = Math.max(monotonic, next.due);
      next.wake();
      await settled();
    }
    monotonic = Math.max(monotonic, until);
    await settled();
  }

  return {
    now: () => offset + monotonic,
    monotonic: () => monotonic,
    sleep,
    advance,
    jump(milliseconds) {
      offset += milliseconds;
    },
    nextWake: () => sleepers[0]?.due,
  };
}

/** Behind all that are due at the same time or earlier. */
function insert(sleepers: Sleeper[], sleeper: Sleeper): void {
  const place = sleepers.findIndex((other) => other.due > sleeper.due);
  sleepers.splice(place === -1 ? sleepers.length : place, 0, sleeper);
}

/**
 * Once no promise is left that could go on by itself: Node empties the whole queue of microtasks before it turns to the
 * next tick, which takes no time. Twice, for what was waiting for a tick of its own.
 */
async function settled(): Promise<void> {
  for (let round = 0; round < 2; round++) await new Promise<void>((resolve) => process.nextTick(resolve));
}
