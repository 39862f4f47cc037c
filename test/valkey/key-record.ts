import type { KeyRecord } from "../../shared/pipeline/ports.ts";
import { ValueDigest } from "../../shared/rdb/value-digest.ts";

/** A key as it is to be, of the pieces of its value. */
export function recordOf(type: number, pieces: Buffer[], expireTimeMs: number): KeyRecord {
  const digest = new ValueDigest(type, "REDIS");
  for (const piece of pieces) digest.update(piece);
  const state = { digest: digest.hex(), expireTimeMs };
  const valueBytes = pieces.reduce((sum, { length }) => sum + length, 0);
  return { magic: "REDIS", type, state, valueBytes, value: () => pieces };
}

/** A short string. */
export const text = (value: string, expireTimeMs = -1): KeyRecord =>
  recordOf(0, [Buffer.concat([Uint8Array.of(value.length), Buffer.from(value)])], expireTimeMs);
