import { createHash } from "node:crypto";
import { Crc64 } from "./crc64.ts";
import type { Magic } from "./family.ts";
import { sizeOfLength, sizeOfString } from "./size.ts";

/** One thing within an element: a STR, a LEN, or so many bytes. */
type Part = "string" | "length" | number;

/** Types whose elements come in the order of a hash table: another one in each process, for the same value. */
const unordered: Readonly<Record<Magic, Readonly<Record<number, readonly Part[]>>>> = {
  REDIS: { 2: ["string"], 4: ["string", "string"] },
  VALKEY: { 2: ["string"], 4: ["string", "string"], 22: ["string", "string", 8] },
};

/** No LEN or STR tells its size later than here: an LZF string after its mark and two lengths. */
const headBytes = 20;

/**
 * The running digest of a value as it lies in a file, its type included: of what a DUMP payload says without its footer. The
 * elements of sets and hashes count in any order; a value that lies in memory in another way is another one.
 */
export class ValueDigest {
  readonly #hash = createHash("sha256");
  readonly #elements: Elements | undefined;

  constructor(type: number, magic: Magic) {
    this.#hash.update(Uint8Array.of(type));
    const parts = unordered[magic][type];
    this.#elements = parts && new Elements(parts);
  }

  update(piece: Uint8Array): void {
    if (this.#elements === undefined) this.#hash.update(piece);
    else this.#elements.update(piece);
  }

  /** Once, at the end. */
  hex(): string {
    if (this.#elements !== undefined) this.#hash.update(this.#elements.sum());
    return this.#hash.digest("hex");
  }
}

/** A count and so many elements, whatever their order: the sum of what each of them comes to. */
class Elements {
  readonly #parts: readonly Part[];
  readonly #head = new Uint8Array(headBytes);
  #headLength = 0;
  /** Of the part that has begun, bytes to come. */
  #left = 0;
  /** -1: the count comes first. */
  #part = -1;
  #crc = new Crc64();
  #low = 0;
  #high = 0;
  #bytes = 0;

  constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  update(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      if (this.#left === 0) {
        this.#head[this.#headLength++] = piece[at++] as number;
        this.#begin();
      } else {
        const bytes = piece.subarray(at, at + this.#left);
        this.#crc.update(bytes);
        this.#left -= bytes.length;
        at += bytes.length;
        if (this.#left === 0) this.#end();
      }
    }
    this.#bytes += piece.length;
  }

  /** 24 bytes: both halves of the sum, and how many bytes there were. */
  sum(): Uint8Array {
    const sum = new Float64Array([this.#low, this.#high, this.#bytes]);
    return new Uint8Array(sum.buffer);
  }

  /** Once enough of a part has come to tell how long it is. */
  #begin(): void {
    const size = this.#size();
    if (size === 0) return;
    this.#crc.update(this.#head.subarray(0, this.#headLength));
    this.#left = size - this.#headLength;
    this.#headLength = 0;
    if (this.#left === 0) this.#end();
  }

  #size(): number {
    const part = this.#part === -1 ? "length" : this.#parts[this.#part];
    if (typeof part === "number") return part;
    if (part === "string") return sizeOfString(this.#head, 0, this.#headLength, 0);
    const size = sizeOfLength(this.#head[0] as number, 0);
    return size <= this.#headLength ? size : 0;
  }

  /** A part is complete; with the last one its element is, and the count is an element of its own. */
  #end(): void {
    this.#part++;
    if (this.#part !== 0 && this.#part < this.#parts.length) return;
    this.#part = 0;
    const crc = this.#crc.value();
    // Sums of plain CRCs, which are linear, would be equal for elements that have swapped their ends.
    const low = mixed(Number(crc & 0xffffffffn));
    this.#low = (this.#low + low) >>> 0;
    this.#high = (this.#high + mixed(Number(crc >> 32n) ^ low)) >>> 0;
    this.#crc = new Crc64();
  }
}

/** The finaliser of MurmurHash3 (fmix32): every bit of the number changes every bit of the answer. */
function mixed(number: number): number {
  let hash = number | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
