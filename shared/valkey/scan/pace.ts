/** Bytes of values that may be on their way at once: the server holds them in memory until we have read them. */
const bytesOnTheWay = 4 * 1024 * 1024;

/** More keys at once bring no speed. */
const mostKeys = 2048;
const firstKeys = 64;
const fewestKeys = 8;

/** A server that takes longer for small values has other things to do. */
const slowMs = 50;

/** A group of keys with more bytes than that may take its time. */
const smallBytes = 256 * 1024;

/** How much the last group counts in the mean. */
const weight = 0.02;

/**
 * How many keys may be asked for at once, and when: as many as keep the server busy, while neither what it must hold for us grows
 * nor others wait because of us. Keys come in the order of their hashes, so the values so far are a fair sample of
 * those to come. Times in milliseconds, by one clock.
 */
export class Pace {
  readonly #maxKeysPerSecond: number;
  #meanBytes = 0;
  #limit = firstKeys;
  #earliest = 0;
  #slowedAt = Number.NEGATIVE_INFINITY;

  constructor(maxKeysPerSecond = Number.POSITIVE_INFINITY) {
    this.#maxKeysPerSecond = maxKeysPerSecond;
  }

  /** So many keys may be on their way. */
  get limit(): number {
    const byBytes = bytesOnTheWay / Math.max(1, this.#meanBytes);
    // A twentieth of a second's keys at once: the rate holds for short stretches too.
    const byRate = Math.ceil(this.#maxKeysPerSecond / 20);
    return Math.max(1, Math.floor(Math.min(this.#limit, byBytes, byRate)));
  }

  /** How long to wait before more keys are asked for. */
  waitMs(now: number): number {
    return Math.max(0, this.#earliest - now);
  }

  /** So many keys were asked for. */
  sent(keys: number, now: number): void {
    if (this.#maxKeysPerSecond === Number.POSITIVE_INFINITY) return;
    this.#earliest = Math.max(this.#earliest, now) + (1000 * keys) / this.#maxKeysPerSecond;
  }

  /** A group of keys has come. */
  received(keys: number, valueBytes: number, sentAt: number, now: number): void {
    const mean = valueBytes / keys;
    this.#meanBytes = this.#meanBytes === 0 ? mean : this.#meanBytes + weight * (mean - this.#meanBytes);
    const isSlow = now - sentAt > slowMs && valueBytes <= smallBytes;
    if (!isSlow) this.#limit = Math.min(mostKeys, this.#limit + keys);
    // Those that were on their way already when it was last slowed down say nothing of what that brought.
    else if (sentAt >= this.#slowedAt) {
      this.#slowedAt = now;
      if (this.#limit > fewestKeys) this.#limit = Math.max(fewestKeys, this.#limit / 2);
      else this.#earliest = Math.max(this.#earliest, now + (now - sentAt));
    }
  }
}
