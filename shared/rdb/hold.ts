const none = new Uint8Array(0);

/** Memory that is set aside at once for a region that is known by its claimed length only. */
const believedBytes = 65_536;

/**
 * A region of the stream that is kept although chunks come and go. A region within one chunk stays a view of it; one
 * that crosses a border is copied, once, unless it is longer than its limit: then nothing of it is kept.
 */
export class Hold {
  /** The region that was closed last: `bytes` from `from` to `to`. */
  bytes: Uint8Array = none;
  from = 0;
  to = 0;

  #chunk: Uint8Array = none;
  #chunkOffset = 0;
  /** Where the open region begins in the file, or -1. */
  #start = -1;
  #limit = 0;
  #carried: Uint8Array = none;
  #carriedBytes = 0;

  /** From now on regions are taken from this chunk, which stands at this offset of the file. */
  begin(chunk: Uint8Array, offset: number): void {
    this.#chunk = chunk;
    this.#chunkOffset = offset;
  }

  /** A region begins here. A limit of zero keeps nothing. */
  open(offset: number, limit: number): void {
    if (limit === 0) return;
    this.#start = offset;
    this.#limit = limit;
    this.#carriedBytes = 0;
  }

  /** The region ends here. Answers whether it is in `bytes` now; it is not if it was too long. */
  close(offset: number): boolean {
    const start = this.#start;
    if (start < 0) return false;
    this.#start = -1;
    if (offset - start > this.#limit) return false;
    if (start >= this.#chunkOffset) {
      this.bytes = this.#chunk;
      this.from = start - this.#chunkOffset;
      this.to = offset - this.#chunkOffset;
      return true;
    }
    this.#append(this.#chunk.subarray(0, offset - this.#chunkOffset), offset - start);
    this.bytes = this.#carried;
    this.from = 0;
    this.to = this.#carriedBytes;
    this.#carried = none;
    return true;
  }

  /** The chunk's `length` bytes are over. What is known of the open region, up to this offset, decides how much room it gets. */
  carry(offset: number, length: number): void {
    if (this.#start < 0) return;
    if (offset - this.#start > this.#limit) {
      this.#start = -1;
      this.#carried = none;
      return;
    }
    const from = Math.max(0, this.#start - this.#chunkOffset);
    this.#append(this.#chunk.subarray(from, length), offset - this.#start);
    this.#chunk = none;
  }

  #append(bytes: Uint8Array, expectedBytes: number): void {
    const total = this.#carriedBytes + bytes.length;
    if (total > this.#carried.length) {
      // The length that a file claims is believed in steps only: it may be damaged or a lie.
      const room = Math.min(Math.max(expectedBytes, 2 * total), Math.max(believedBytes, 4 * total), this.#limit);
      const grown = new Uint8Array(Math.max(total, room));
      grown.set(this.#carried.subarray(0, this.#carriedBytes));
      this.#carried = grown;
    }
    this.#carried.set(bytes, this.#carriedBytes);
    this.#carriedBytes = total;
  }
}
