import { slotOf } from "../cluster/slot.ts";

/** Keys end to end in one piece of memory, which costs far less than as many small ones. */
export class KeyBatch {
  bytes = new Uint8Array(32 * 1024);
  /** Where each key ends; it begins where the one before ends. */
  readonly ends: number[] = [];
  #at = 0;

  get count(): number {
    return this.ends.length;
  }

  startOf(index: number): number {
    return index === 0 ? 0 : (this.ends[index - 1] as number);
  }

  endOf(index: number): number {
    return this.ends[index] as number;
  }

  /** Adds to the key that is open; `close` ends it. */
  append(chunk: Uint8Array, from: number, to: number): void {
    if (this.#at + to - from > this.bytes.length) {
      const grown = new Uint8Array(Math.max(2 * this.bytes.length, this.#at + to - from));
      grown.set(this.bytes.subarray(0, this.#at));
      this.bytes = grown;
    }
    for (let at = from; at < to; at++) this.bytes[this.#at++] = chunk[at] as number;
  }

  close(): void {
    this.ends.push(this.#at);
  }

  /** The keys that are wanted: this batch itself where all are. */
  only(wanted: readonly boolean[]): KeyBatch {
    if (!wanted.includes(false)) return this;
    const rest = new KeyBatch();
    for (const [index, isWanted] of wanted.entries()) {
      if (!isWanted) continue;
      rest.append(this.bytes, this.startOf(index), this.endOf(index));
      rest.close();
    }
    return rest;
  }

  /** The slot of each key. */
  slots(): number[] {
    return this.ends.map((end, index) => slotOf(this.bytes, this.startOf(index), end));
  }
}
