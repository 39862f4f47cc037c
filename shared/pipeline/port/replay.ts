import type { LoadOptions } from "./load.ts";

/** A file of an AOF: the commands of this range, all of them whole. */
export interface ReplayLog {
  startOffset: number;
  endOffset: number;
  read(range: { start: number; end: number }, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Everything before `offset` of the log of this number, from 1 on, was carried out; 0: nothing was. `database` is selected there. */
export interface ReplayMark {
  log: number;
  offset: number;
  database: number;
}

/**
 * Who replays, as whoever loads: `epoch` rises through all three calls of a replay, and each of them cuts off whoever was at it
 * with a lower one.
 */
export type Replayer = Pick<LoadOptions, "operation" | "epoch" | "confirm">;

export interface ReplayOptions extends Replayer {
  /** Expiry was suspended when it began, and matters: a target that suspends it no longer may have lost keys, which is DATA_LOSS. */
  isSuspended?: boolean;
  /** Rises; once for each batch that was carried out. */
  onProgress?: (mark: ReplayMark) => void;
}
