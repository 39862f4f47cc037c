import { StatusError } from "../error.ts";

const star = 0x2a;
const any = 0x3f;
const open = 0x5b;
const close = 0x5d;
const not = 0x5e;
const dash = 0x2d;
const backslash = 0x5c;

/** Bytes of a pattern at most: longer than any key that one would write by hand. */
const longestPattern = 4096;

/** So many `*` are gone into, one within the other, before the answer is no (util.c, stringmatchlen_impl). */
const deepest = 1000;

/** Which keys a pattern takes. */
export type KeyPattern = (key: Uint8Array) => boolean;

/**
 * The keys that `KEYS` and `SCAN MATCH` would find by this pattern, byte for byte: `*`, `?`, `[a-z]`, `[^a]`, and `\` before
 * what is meant as it is. INVALID_ARGUMENT does not repeat the pattern: it may be the name of a key.
 */
export function keyPattern(text: string): KeyPattern {
  const pattern = new TextEncoder().encode(text);
  if (pattern.length === 0 || pattern.length > longestPattern)
    throw new StatusError(
      "INVALID_ARGUMENT",
      `malformed pattern of ${pattern.length} bytes: expected 1 to ${longestPattern}, such as cart:*`,
    );
  if (pattern.length === 1 && pattern[0] === star) return () => true;
  return (key) => new Match(pattern, key).from(0, 0, 0);
}

/** `stringmatchlen` of Valkey 8.0's util.c, case by case: what looks odd here is so there, unclosed brackets too. */
class Match {
  readonly #pattern: Uint8Array;
  readonly #key: Uint8Array;
  /** Nothing that begins later in the key can match either. */
  #isHopeless = false;

  constructor(pattern: Uint8Array, key: Uint8Array) {
    this.#pattern = pattern;
    this.#key = key;
  }

  from(start: number, keyStart: number, depth: number): boolean {
    if (depth > deepest) return false;
    const pattern = this.#pattern;
    let at = start;
    let keyAt = keyStart;
    while (at < pattern.length && keyAt < this.#key.length) {
      const byte = pattern[at];
      if (byte === star) return this.#star(at, keyAt, depth);
      if (byte === open) {
        const end = this.#bracket(at + 1, this.#key[keyAt] as number);
        if (end === undefined) return false;
        at = end;
      } else if (byte !== any) {
        if (byte === backslash && at + 1 < pattern.length) at++;
        if (pattern[at] !== this.#key[keyAt]) return false;
      }
      at++;
      keyAt++;
      if (keyAt === this.#key.length) while (pattern[at] === star) at++;
    }
    return at === pattern.length && keyAt === this.#key.length;
  }

  #star(start: number, keyStart: number, depth: number): boolean {
    let at = start;
    while (this.#pattern[at + 1] === star) at++;
    if (at + 1 === this.#pattern.length) return true;
    for (let keyAt = keyStart; keyAt < this.#key.length; keyAt++) {
      if (this.from(at + 1, keyAt, depth + 1)) return true;
      if (this.#isHopeless) return false;
    }
    this.#isHopeless = true;
    return false;
  }

  /** Where the bracket that opened before `start` closes, if it takes this byte; else `undefined`. */
  #bracket(start: number, found: number): number | undefined {
    const pattern = this.#pattern;
    const isNegated = pattern[start] === not;
    let at = isNegated ? start + 1 : start;
    let isTaken = false;
    for (; ; at++) {
      if (at + 1 < pattern.length && pattern[at] === backslash) {
        at++;
        isTaken ||= pattern[at] === found;
      } else if (pattern[at] === close) break;
      else if (at >= pattern.length) {
        at--;
        break;
      } else if (at + 2 < pattern.length && pattern[at + 1] === dash) {
        isTaken ||= isWithin(found, pattern[at] as number, pattern[at + 2] as number);
        at += 2;
      } else isTaken ||= pattern[at] === found;
    }
    return isTaken === isNegated ? undefined : at;
  }
}

/** A server's `char` is signed on x86: bytes from 0x80 on stand before all others. */
function isWithin(byte: number, one: number, other: number): boolean {
  const [value, from, to] = [byte, one, other].map((each) => (each << 24) >> 24) as [number, number, number];
  return value >= Math.min(from, to) && value <= Math.max(from, to);
}
