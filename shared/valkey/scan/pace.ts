/** Bytes of values that may be on their way at once: the server holds them in memory until we have read them. */
const bytesOnTheWay = 4 * 1024 * 1024;

/** More keys at once bring no speed. */
const mostKeys = 1024;

/** As long as nothing is known of the values: each may be large. */
const firstKeys = 4;
/** With fewer most of the time would be spent on the way; there are pauses instead, of so long at most. */
const fewestKeys = 256;
const longestPauseMs = 100;

/** A server that takes so much longer for small values than it did at its quickest has other things to do. */
const slowMs = 100;

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
  /** What lies between us and the server costs so much whatever it does. */
  #quickestMs = Number.POSITIVE_INFINITY;

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
    this.#quickestMs = Math.min(this.#quickestMs, now - sentAt);
    const lateMs = now - sentAt - this.#quickestMs;
    if (lateMs <= slowMs || valueBytes > smallBytes) this.#limit = Math.min(mostKeys, this.#limit + keys);
    // Those that were on their way already when it was last slowed down say nothing of what that brought.
    else if (sentAt >= this.#slowedAt) {
      this.#slowedAt = now;
      if (this.#limit > fewestKeys) this.#limit = Math.max(fewestKeys, this.#limit / 2);
      else this.#earliest = Math.max(this.#earliest, now + Math.min(lateMs, longestPauseMs));
    }
  }
}
