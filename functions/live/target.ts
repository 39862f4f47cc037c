import type { Instance } from "../../shared/backup/backup.ts";
import type { KeyState } from "../../shared/backup/selection.ts";
import type { DumpPiece, Exchange, Exchanged, ExchangeOptions, Ports } from "../../shared/pipeline/ports.ts";
import { ValueDigest } from "../../shared/rdb/value-digest.ts";
import { paceOf } from "./pace.ts";

/** Keys that one call asks for or writes at most, and over how many seconds a group may stretch under a rate limit. */
const keysAtOnce = 1000;
const groupSeconds = 30;

/** For so many milliseconds a lease that was renewed need not be renewed again: a tenth of what it holds. */
const confirmedFor = 6_000;

/** So many keys make a group: one has to be done well within a delivery. */
export const groupSize = (keysPerSecond = keysAtOnce): number => Math.min(keysAtOnce, groupSeconds * keysPerSecond);

/** Each round counts its attempts anew: one of a later round comes after all of an earlier one. */
export const epochOf = (round: number, epoch: number): number => round * 1_000 + epoch;

/** The keys of a live instance, asked and written no faster than it was said. */
export interface LiveTarget {
  /** One for each key, in their order; `undefined`: it is not there. */
  states(keys: readonly Uint8Array[]): Promise<(KeyState | undefined)[]>;
  /** The values too; `onState` hears of each key once its last piece has passed. */
  dump(keys: readonly Uint8Array[], onState: (index: number, state: KeyState) => void): AsyncGenerator<DumpPiece>;
  exchange(exchanges: readonly Exchange[], options: ExchangeOptions): Promise<Exchanged[]>;
}

/** `keysPerSecond`: looks and writes together, in any second. */
export function liveTarget(
  instance: Instance,
  database: number,
  keysPerSecond: number | undefined,
  { valkey, clock }: Ports,
  signal: AbortSignal,
): LiveTarget {
  const pace = paceOf(keysPerSecond, keysAtOnce, clock, signal);
  let confirmed = Number.NEGATIVE_INFINITY;

  /** Slices of what is to be done, each in its time. */
  async function* paced<T>(all: readonly T[]): AsyncGenerator<{ slice: T[]; start: number }> {
    for (let start = 0; start < all.length; start += pace.bite) {
      const slice = all.slice(start, start + pace.bite);
      await pace.take(slice.length);
      yield { slice, start };
      pace.taken(slice.length);
    }
  }

  const live: LiveTarget = {
    async states(keys) {
      const states: (KeyState | undefined)[] = keys.map(() => undefined);
      const pieces = live.dump(keys, (index, state) => {
        states[index] = state;
      });
      for await (const _ of pieces);
      return states;
    },
    async *dump(keys, onState) {
      for await (const { slice, start } of paced(keys)) {
        let open: { index: number; expireTimeMs: number; digest: ValueDigest } | undefined;
        const close = () => {
          if (open !== undefined)
            onState(start + open.index, { digest: open.digest.hex(), expireTimeMs: open.expireTimeMs });
        };
        for await (const piece of valkey.dump(instance, database, slice, signal)) {
          const { index, magic, type, expireTimeMs, bytes } = piece;
          if (index !== open?.index) {
            close();
            open = { index, expireTimeMs, digest: new ValueDigest(type, magic) };
          }
          open.digest.update(bytes);
          yield { ...piece, index: start + index };
        }
        close();
      }
    },
    async exchange(exchanges, options) {
      const outcomes: Exchanged[] = [];
      const confirm = async (): Promise<void> => {
        if (clock.monotonic() - confirmed < confirmedFor) return;
        const asked = clock.monotonic();
        await options.confirm();
        confirmed = asked;
      };
      for await (const { slice } of paced(exchanges))
        outcomes.push(...(await valkey.exchange(instance, slice, { ...options, confirm }, signal)));
      return outcomes;
    },
  };
  return live;
}
