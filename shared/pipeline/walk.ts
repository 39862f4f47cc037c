import type { ObjectInfo, Ports } from "./ports.ts";

/** How many objects one message looks at, and for how long at most, in milliseconds; the next message goes on. */
const pageSize = 500;
const pageTime = 180_000;

/**
 * Goes through the vault by name, from `startOffset` on, as far as one message should. `look` answers `full` where the
 * page can hold no more. Answers where the next page begins; `undefined` at the end.
 */
export async function walkVault(
  { objects, clock, settings }: Ports,
  prefix: string,
  startOffset: string | undefined,
  signal: AbortSignal,
  look: (found: ObjectInfo) => Promise<"full" | undefined>,
): Promise<string | undefined> {
  const started = clock.monotonic();
  let count = 0;
  let isFull = false;
  for await (const found of objects.list(
    settings.vaultBucket,
    prefix,
    startOffset === undefined ? {} : { startOffset },
  )) {
    signal.throwIfAborted();
    if (isFull || count === pageSize || clock.monotonic() - started > pageTime) return found.object;
    count++;
    isFull = (await look(found)) === "full";
  }
  return undefined;
}
