import { isSameState, type KeyState } from "../backup/selection.ts";
import type { DumpPiece, Exchange, Exchanged, ExchangeOptions } from "../pipeline/ports.ts";
import type { RdbRecord } from "../rdb/entry.ts";
import { ValueDigest } from "../rdb/value-digest.ts";

/** What a server in memory holds of a key. */
export type Key = Pick<RdbRecord, "type" | "expireTimeMs"> & { value: Uint8Array };

/** The name under which it keeps the key. */
export const nameOf = (db: number, key: Uint8Array): string => `${db}:${Buffer.from(key).toString("hex")}`;

/** The keys of a server in memory that are there; every value comes in two pieces. */
export async function* dumpOf(
  shard: ReadonlyMap<string, Key> | undefined,
  database: number,
  keys: readonly Uint8Array[],
  signal: AbortSignal,
): AsyncGenerator<DumpPiece> {
  for (const [index, key] of keys.entries()) {
    signal.throwIfAborted();
    const found = shard?.get(nameOf(database, key));
    if (found === undefined) continue;
    const { type, expireTimeMs, value } = found;
    const magic = "REDIS";
    yield { index, magic, type, expireTimeMs, bytes: value.subarray(0, 1) };
    yield { index, magic, type, expireTimeMs, bytes: value.subarray(1) };
  }
}

/** Makes the changes of keys whose state is as expected. */
export async function exchangeIn(
  shard: Map<string, Key> | undefined,
  exchanges: readonly Exchange[],
  { database, confirm, now }: ExchangeOptions,
  signal: AbortSignal,
): Promise<Exchanged[]> {
  await confirm();
  const outcomes: Exchanged[] = [];
  for (const { key, from, to } of exchanges) {
    const value = to === undefined ? undefined : await joined(to.value(signal));
    const name = nameOf(database, key);
    const found = shard?.get(name);
    const there = found && stateOf(found);
    const isGone = typeof from === "object" && from.expireTimeMs !== -1 && from.expireTimeMs <= now();
    const isAsExpected = from === "ANY" || isSameState(there, from) || (there === undefined && isGone);
    const isAlready = isSameState(there, to?.state);
    const outcome = isAlready ? "ALREADY" : isAsExpected ? "DONE" : "CHANGED";
    outcomes.push({ outcome, state: isAlready || isAsExpected ? to?.state : there });
    if (isAlready || !isAsExpected) continue;
    if (to === undefined || value === undefined) shard?.delete(name);
    else shard?.set(name, { type: to.type, expireTimeMs: to.state.expireTimeMs, value });
  }
  return outcomes;
}

function stateOf({ type, value, expireTimeMs }: Key): KeyState {
  const digest = new ValueDigest(type, "REDIS");
  digest.update(value);
  return { digest: digest.hex(), expireTimeMs };
}

async function joined(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(Uint8Array.from(piece));
  return Uint8Array.from(Buffer.concat(all));
}
