import { asStatusError } from "../../shared/error.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";

/** One run of `watch`. */
export interface Round {
  ports: Ports;
  /** When it began. */
  time: string;
  /** Aborted when its time is over. */
  signal: AbortSignal;
  /** See `WatchRecord`. Two places: servers are inspected some at a time, everything else of all instances as far as the time goes. */
  inspected: string | undefined;
  reached: string | undefined;
}

/** Nothing that goes wrong with one thing keeps the others from being looked at; then there is no answer. */
export async function alone<T>(what: string, { ports }: Round, act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (thrown) {
    const { code, message } = asStatusError(thrown);
    ports.log("WARNING", "not looked at", { what, code, reason: message });
    return undefined;
  }
}
