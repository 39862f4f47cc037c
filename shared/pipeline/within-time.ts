import { StatusError } from "../error.ts";
import type { Clock } from "./ports.ts";

/** What `act` comes to, or LATE where its time was over first: its signal is aborted then, and what it throws is let go. */
export async function withinTime<T>(
  clock: Clock,
  milliseconds: number,
  signal: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T | "LATE"> {
  const limit = new AbortController();
  const end = new AbortController();
  const timer = clock.sleep(milliseconds, end.signal).then(
    () => limit.abort(new StatusError("CANCELLED", "its time is over")),
    () => undefined,
  );
  try {
    return await act(AbortSignal.any([signal, limit.signal]));
  } catch (error) {
    if (limit.signal.aborted && !signal.aborted) return "LATE";
    throw error;
  } finally {
    end.abort();
    await timer;
  }
}
