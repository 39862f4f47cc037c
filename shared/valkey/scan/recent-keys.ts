import { StatusError } from "../../error.ts";
import { type FingerprintKey, fingerprint, fingerprintWords } from "./fingerprint.ts";
import type { KeyBatch } from "./key-batch.ts";
import { bucketStart } from "./position.ts";

/** 4 MiB of fingerprints and 2 MiB to find them. */
const usualCapacity = 1 << 18;

/** Calls of SCAN are told apart in groups of about so many keys. */
const keysOfGroup = 1024;

/** Keys of consecutive calls, and where the last of those calls ended. */
interface Group {
  keys: number;
  end: bigint;
}

/**
 * The keys that SCAN named last, by fingerprint, so that a key which it names twice is written once. Memory is bounded, and no
 * key is ever written twice or lost by that: what follows is why.
 *
 * **What SCAN does** (`dictScan` in dict.c of Redis 7.0 and Valkey 8.0, `hashtableScan` in hashtable.c since Valkey 8.1). Let
 * q(key) be the key's hash with its bits reversed, and p the cursor with its bits reversed; the hash of a key is the same as
 * long as the process lives, in every table. A table of 2^n buckets holds a key in the bucket [m·2^(64-n), (m+1)·2^(64-n))
 * that q lies in. A step at p names every key that is in the table with q in the bucket of p, of the smaller table where
 * there are two because one grows into the other, and moves p to the end of that bucket. So p only rises, and
 *
 *   (1) a step at p through a table of 2^n buckets names keys with q ≥ bucketStart(p, n) only, and
 *   (2) what was named before p was reached has q < p.
 *
 * A key in [bucketStart(p, n), p) may thus come again. That interval is empty unless the table was larger when p was
 * reached: keys come twice only where the table has become smaller.
 *
 * **What is remembered.** The last `capacity` keys. When older ones are forgotten, `horizon` is where the last call that named
 * a forgotten one ended: by (2) every forgotten key has q < horizon. A call at p names, by (1), no forgotten key if
 * horizon ≤ bucketStart(p, n), and then a key is a repetition exactly if its fingerprint is here. (Different keys with one
 * fingerprint, of which the second would be lost: 2^-128 for each pair.)
 *
 * **Where that is not so** the call is refused with ABORTED, and nothing of it is written; the snapshot begins anew. Of a
 * keyspace of N keys, capacity/N of all positions lie behind the horizon, so n must have fallen below log2(N/capacity): of a
 * thousand million keys fewer than some ten thousand are left. Then beginning anew costs nothing. Below `capacity` keys
 * nothing is ever forgotten.
 *
 * How large the table is, no server tells. But a call that begins at the beginning of the table and asks for one key ends
 * at a multiple of 2^(64-n) (see `exponentAt`): sent in one transaction with the call proper, it tells a lower bound of n. It is
 * sent twice: keys that have expired go with the call, and by that a growth may come to its end, or the table begin to shrink.
 * Nothing is added meanwhile, so no growth begins: the smaller bound of before and after holds for all that lies between.
 */
export class RecentKeys {
  readonly #key: FingerprintKey;
  readonly #capacity: number;
  /** A ring: the oldest at `#first`. */
  readonly #prints: Int32Array;
  /** By the last bits of a fingerprint, the newest of those with the same; 0: none, else the place in the ring + 1. */
  readonly #heads: Int32Array;
  /** The one before with the same last bits. */
  readonly #others: Int32Array;
  /** The fingerprints of the call that is looked at. */
  #sought = new Int32Array(0);
  #groups: Group[] = [];
  #first = 0;
  #count = 0;
  #horizon = 0n;
  #added = 0;
  /** One call alone named more keys than fit. */
  #isOverfull = false;

  constructor(key: FingerprintKey, capacity = usualCapacity) {
    this.#key = key;
    this.#capacity = capacity;
    this.#prints = new Int32Array(fingerprintWords * capacity);
    this.#heads = new Int32Array(1 << Math.ceil(Math.log2(capacity)));
    this.#others = new Int32Array(capacity);
  }

  /** Below this position keys may have been forgotten; 0: none was. */
  get horizon(): bigint {
    return this.#horizon;
  }

  /** Another table begins. With `horizon`: one that a scan has left there, and whose keys since then are told again. */
  clear(horizon = 0n): void {
    this.#heads.fill(0);
    this.#groups = [];
    this.#first = 0;
    this.#count = 0;
    this.#added = 0;
    this.#isOverfull = false;
    this.#horizon = horizon;
  }

  /** Before the keys of a call are added: ABORTED if one of them might have been forgotten. */
  assertKnown(position: bigint, exponent: number): void {
    if (this.#horizon <= bucketStart(position, exponent)) return;
    throw new StatusError(
      "ABORTED",
      "the keyspace shrank to nearly nothing while it was scanned, and keys may come twice: it is scanned anew",
    );
  }

  /**
   * Which keys of a call are new; of those that are not meant it says so unasked. All are looked for before the first is added:
   * what one drives out, another may be a repetition of. Within one call no key comes twice.
   */
  sift(keys: KeyBatch, isMeant: (index: number) => boolean = () => true): boolean[] {
    if (this.#sought.length < fingerprintWords * keys.count)
      this.#sought = new Int32Array(fingerprintWords * keys.count);
    const meant = keys.ends.map((_, index) => isMeant(index));
    const isNew = meant.map((is, index) => !is || !this.#isKnown(keys, index));
    for (let index = 0; index < keys.count; index++) if (meant[index] && isNew[index]) this.#add(index);
    return isNew;
  }

  /** The keys added since the last end were those of calls that ended at this position. */
  endCall(position: bigint): void {
    if (this.#isOverfull) this.#horizon = position;
    const last = this.#groups.at(-1);
    if (last !== undefined && last.keys < keysOfGroup) {
      last.keys += this.#added;
      last.end = position;
    } else this.#groups.push({ keys: Math.min(this.#added, this.#capacity), end: position });
    this.#added = 0;
    this.#isOverfull = false;
  }

  #isKnown(keys: KeyBatch, index: number): boolean {
    const at = fingerprintWords * index;
    fingerprint(this.#key, keys.bytes, keys.startOf(index), keys.endOf(index), this.#sought, at);
    let found = this.#heads[this.#bucketOf(this.#sought, at)] as number;
    while (found !== 0 && !this.#isAt(found - 1, at)) found = this.#others[found - 1] as number;
    return found !== 0;
  }

  #add(index: number): void {
    if (this.#count === this.#capacity) this.#forgetOldest();
    const at = fingerprintWords * index;
    const bucket = this.#bucketOf(this.#sought, at);
    const place = (this.#first + this.#count) % this.#capacity;
    for (let word = 0; word < fingerprintWords; word++)
      this.#prints[fingerprintWords * place + word] = this.#sought[at + word] as number;
    this.#others[place] = this.#heads[bucket] as number;
    this.#heads[bucket] = place + 1;
    this.#count++;
    this.#added++;
  }

  #forgetOldest(): void {
    const place = this.#first;
    const bucket = this.#bucketOf(this.#prints, fingerprintWords * place);
    let before = 0;
    let found = this.#heads[bucket] as number;
    for (; found !== place + 1; found = this.#others[found - 1] as number) before = found;
    // The oldest of a bucket is the last of its chain.
    if (before === 0) this.#heads[bucket] = 0;
    else this.#others[before - 1] = 0;
    this.#first = (place + 1) % this.#capacity;
    this.#count--;
    this.#forgetOfGroup();
  }

  #forgetOfGroup(): void {
    while (this.#groups[0]?.keys === 0) this.#groups.shift();
    const [oldest] = this.#groups;
    if (oldest === undefined) this.#isOverfull = true;
    else {
      oldest.keys--;
      this.#horizon = oldest.end;
    }
  }

  #bucketOf(prints: Int32Array, at: number): number {
    return (prints[at] as number) & (this.#heads.length - 1);
  }

  #isAt(place: number, sought: number): boolean {
    const at = fingerprintWords * place;
    for (let word = 0; word < fingerprintWords; word++)
      if (this.#prints[at + word] !== this.#sought[sought + word]) return false;
    return true;
  }
}
