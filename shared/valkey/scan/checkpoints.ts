import type { ScanMark } from "../../pipeline/ports.ts";
import type { Position } from "./position.ts";

/** What another call has to read again at most. So few keys do: see `RecentKeys` of when more would be needed. */
const mostKeys = 65_536;
const mostBytes = 64 * 1024 * 1024;

/** Further apart than this they do not stand. */
const keysBetween = 1024;

/** Everything that was named before `position` stands in the file before `offset`. */
interface Checkpoint extends Position {
  offset: number;
  keys: number;
}

/** Where the keys that SCAN named last stand in the file, for a call that goes on there. */
export class Checkpoints {
  #kept: Checkpoint[] = [];
  #keys = 0;

  /** A walk begins, or goes on, with what stands in the file from `offset` on; before that, nothing behind `horizon`. */
  begin(slot: number, offset: number, horizon = 0n): void {
    this.#keys = 0;
    this.#kept = [{ slot, position: horizon, offset, keys: 0 }];
  }

  /** So many keys more were named before `end`, and all are in the file. */
  reached(end: Position, keys: number, offset: number): void {
    this.#keys += keys;
    const last = this.#kept.at(-1);
    if (last !== undefined && this.#keys - last.keys < keysBetween) return;
    this.#kept.push({ ...end, offset, keys: this.#keys });
    if (this.#kept.length > 2 * (mostKeys / keysBetween)) this.#kept.shift();
  }

  /** What has to be read again by a call that goes on at `end` with a file of `offset` bytes. */
  recent(end: Position, offset: number): ScanMark["recent"] {
    const isNear = (one: Checkpoint) => this.#keys - one.keys <= mostKeys && offset - one.offset <= mostBytes;
    const found = this.#kept.find(isNear) ?? this.#kept.at(-1);
    if (found === undefined) return { offset, horizon: String(end.position) };
    // Of a slot that began after it nothing stands before it.
    return { offset: found.offset, horizon: String(found.slot === end.slot ? found.position : 0n) };
  }
}
