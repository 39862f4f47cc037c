import { setTimeout as sleep } from "node:timers/promises";
import { StatusError } from "../error.ts";
import { translated } from "./error.ts";

/**
 * A call of the library, which takes no signal and may wait for ever: it is left with UNAVAILABLE after `deadlineMs`, or
 * with the signal's reason. What it does after that changes nothing that anybody sees. Its errors come out as ours.
 */
export async function within<T>(deadlineMs: number, what: string, call: Promise<T>, signal?: AbortSignal): Promise<T> {
  const settled = new AbortController();
  const either = AbortSignal.any([settled.signal, ...(signal === undefined ? [] : [signal])]);
  const late = sleep(deadlineMs, undefined, { signal: either }).then(() => {
    throw new StatusError("UNAVAILABLE", `${what}: Cloud Storage gave no answer within ${deadlineMs / 1000} s`);
  });
  try {
    return await Promise.race([call, late]);
  } catch (error) {
    signal?.throwIfAborted();
    throw translated(error, what);
  } finally {
    settled.abort();
  }
}
