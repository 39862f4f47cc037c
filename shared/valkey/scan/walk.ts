import { StatusError } from "../../error.ts";
import { scanCommands } from "./commands.ts";
import type { KeyBatch } from "./key-batch.ts";
import { endPosition, exponentAt, firstCursor, type Position, positionOf } from "./position.ts";
import type { RecentKeys } from "./recent-keys.ts";
import { ScanReply } from "./scan-reply.ts";

/** Keys that one call of SCAN asks for. */
const keysOfCall = 1000;

/** The new keys that a call of SCAN has named, and where it ended. */
export interface Named {
  keys: KeyBatch;
  cursor: string;
  end: Position;
}

/** The walk of SCAN through one database: each key that exists throughout is answered once; see `RecentKeys`. */
export class Walk {
  readonly #hasTablePerSlot: boolean;
  readonly #recent: RecentKeys;
  #cursor: string;
  #isOver = false;

  /** `cursor`: "0" begins. */
  constructor(cursor: string, hasTablePerSlot: boolean, recent: RecentKeys) {
    this.#cursor = cursor;
    this.#hasTablePerSlot = hasTablePerSlot;
    this.#recent = recent;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The next call. The one before must have been taken. */
  call(): { commands: Uint8Array; reply: ScanReply } {
    // As long as nothing is forgotten it does not matter how large the table is.
    const hasProbes = this.#recent.horizon > 0n;
    const probe = hasProbes ? firstCursor(this.#begin.slot) : undefined;
    return { commands: scanCommands(this.#cursor, keysOfCall, probe), reply: new ScanReply(hasProbes) };
  }

  /** What the call has named that is new. ABORTED: see `RecentKeys.assertKnown`. */
  take({ cursor, keys, probed }: ScanReply): Named {
    const begin = this.#begin;
    this.#isOver = cursor === "0";
    const end = this.#isOver ? { slot: begin.slot, position: endPosition } : positionOf(cursor, this.#hasTablePerSlot);
    if (end.slot < begin.slot || (end.slot === begin.slot && end.position <= begin.position)) throw notRising();
    const isNew = this.#hasTablePerSlot ? this.#siftSlots(keys, begin, end, probed) : this.#sift(keys, begin, probed);
    this.#recent.endCall(end.position);
    this.#cursor = cursor;
    return { keys: keys.only(isNew), cursor, end };
  }

  get #begin(): Position {
    return positionOf(this.#cursor, this.#hasTablePerSlot);
  }

  #sift(keys: KeyBatch, begin: Position, probed: readonly string[]): boolean[] {
    if (keys.count > 0) this.#assertKnown(begin, probed);
    return this.#recent.sift(keys);
  }

  /** Of a call that crosses into another slot, only keys of the first one can be repetitions, and of the last one can be repeated. */
  #siftSlots(keys: KeyBatch, begin: Position, end: Position, probed: readonly string[]): boolean[] {
    const slots = keys.slots();
    if (slots.some((slot) => slot < begin.slot || (slot > end.slot && !this.#isOver))) throw notRising();
    if (slots.includes(begin.slot)) this.#assertKnown(begin, probed);
    const isNew = this.#recent.sift(keys, (index) => slots[index] === begin.slot);
    if (end.slot === begin.slot) return isNew;
    this.#recent.clear();
    this.#recent.sift(keys, (index) => slots[index] === end.slot);
    return isNew;
  }

  #assertKnown({ slot, position }: Position, probed: readonly string[]): void {
    if (this.#recent.horizon === 0n) return;
    const exponents = probed.map((cursor) => {
      const bound = cursor === "0" ? undefined : positionOf(cursor, this.#hasTablePerSlot);
      return bound?.slot === slot ? exponentAt(bound.position) : 0;
    });
    this.#recent.assertKnown(position, exponents.length === 0 ? 0 : Math.min(...exponents));
  }
}

const notRising = (): StatusError =>
  new StatusError("UNIMPLEMENTED", "SCAN of this server goes through its keys in an order that is not known");
