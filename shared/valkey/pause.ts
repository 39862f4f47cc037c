import { setTimeout as sleep } from "node:timers/promises";

/** Waits; throws the signal's own reason, as everything here does, where Node's timers throw an error of theirs. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
  signal.throwIfAborted();
}
