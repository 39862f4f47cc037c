import { createHash } from "node:crypto";

/** A key of a simulated server: its hash never changes, the table that it lies in does. */
interface Entry {
  name: string;
  hash: bigint;
  table: 0 | 1;
}

const bits = 64n;
const all = (1n << bits) - 1n;

function reversed(number: bigint): bigint {
  return BigInt(`0b${number.toString(2).padStart(64, "0").split("").reverse().join("")}`);
}

const hashOf = (name: string): bigint => createHash("md5").update(name).digest().readBigUInt64LE();

/**
 * A hash table as Redis and Valkey have it, which grows and shrinks in steps, with SCAN as their sources describe it: of
 * two tables the bucket of the smaller one, and all of its expansions in the larger one from the cursor on.
 */
export class ScannedTable {
  readonly entries = new Map<string, Entry>();
  /** As powers of two; the second while the table is being rehashed. */
  #exponents: [number, number?];
  #rehashed = 0n;

  constructor(exponent: number) {
    this.#exponents = [exponent];
  }

  get isRehashing(): boolean {
    return this.#exponents[1] !== undefined;
  }

  insert(name: string): void {
    if (!this.entries.has(name)) this.entries.set(name, { name, hash: hashOf(name), table: this.isRehashing ? 1 : 0 });
  }

  remove(name: string): void {
    this.entries.delete(name);
  }

  beginResize(exponent: number): void {
    if (this.isRehashing) return;
    this.#exponents = [this.#exponents[0], exponent];
    this.#rehashed = 0n;
  }

  /** Moves the next buckets into the other table. */
  rehash(buckets: number): void {
    const [from, to] = this.#exponents;
    if (to === undefined) return;
    this.#rehashed += BigInt(buckets);
    for (const entry of this.entries.values()) if ((entry.hash & mask(from)) < this.#rehashed) entry.table = 1;
    if (this.#rehashed < 1n << BigInt(from)) return;
    this.#exponents = [to];
    for (const entry of this.entries.values()) entry.table = 0;
  }

  /** One call of SCAN. */
  scan(cursor: bigint, count: number): { cursor: bigint; keys: string[] } {
    const keys: string[] = [];
    let at = cursor;
    if (this.entries.size === 0) return { cursor: 0n, keys };
    for (let left = 10 * count; ; left--) {
      at = this.#step(at, keys);
      if (at === 0n || keys.length >= count || left === 0) return { cursor: at, keys };
    }
  }

  #step(cursor: bigint, keys: string[]): bigint {
    const [first, second] = this.#exponents;
    const exponents = second === undefined ? [first] : [first, second];
    const small = Math.min(...exponents);
    const large = Math.max(...exponents);
    const smallTable = exponents.indexOf(small);
    for (const { name, hash, table } of this.entries.values())
      if (table === smallTable && (hash & mask(small)) === (cursor & mask(small))) keys.push(name);
    let at = cursor;
    do {
      if (exponents.length === 2)
        for (const { name, hash, table } of this.entries.values())
          if (table !== smallTable && (hash & mask(large)) === (at & mask(large))) keys.push(name);
      at = next(at, mask(large));
    } while ((at & (mask(small) ^ mask(large))) !== 0n);
    return at;
  }
}

const mask = (exponent: number): bigint => (1n << BigInt(exponent)) - 1n;

/** Counts the reversed cursor up. */
const next = (cursor: bigint, tableMask: bigint): bigint =>
  reversed((reversed((cursor | ~tableMask) & all) + 1n) & all);
