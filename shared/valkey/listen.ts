import type { Address } from "./address.ts";
import { brokenLink } from "./failure.ts";
import type { Link } from "./link.ts";

/** What Node's timers can wait at most: for ever. */
const foreverMs = 2 ** 31 - 1;

export interface Listening {
  /** How long the server may answer nothing while it owes answers. */
  silenceMs: number;
  /** How long what comes is left to pile up before it is read, in milliseconds; not at all where absent. */
  gatherMs?: number;
  /** How long it has owed answers without giving one, or without taking more of what is sent. */
  waitedMs(): number;
}

/**
 * Takes what a server answers while others send to it, until something throws. UNAVAILABLE: it hung up, or owes answers for too long; the
 * link is closed then, so that whoever sends waits no longer either.
 */
export async function listen(
  link: Link,
  address: Address,
  { silenceMs, gatherMs = 0, waitedMs }: Listening,
  take: (chunk: Uint8Array) => void,
): Promise<never> {
  let isSilent = false;
  const watch = setInterval(() => {
    isSilent = waitedMs() >= silenceMs;
    if (isSilent) link.close();
  }, silenceMs / 4);
  try {
    for (;;) {
      const chunk = await link.read(foreverMs, gatherMs);
      if (chunk === undefined) {
        const why = isSilent ? `it answered nothing for ${silenceMs / 1000} s` : "it hung up";
        throw brokenLink(address, new Error(why));
      }
      take(chunk);
    }
  } finally {
    clearInterval(watch);
  }
}
