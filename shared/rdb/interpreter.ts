import type { Border } from "./border.ts";
import { unsupported } from "./damage.ts";
import { latestExpireTimeMs, type RdbEntry } from "./entry.ts";
import { type Format, readHeader } from "./header.ts";
import type { Hold } from "./hold.ts";
import { lengthAt, littleEndianAt } from "./length.ts";
import { limits } from "./limits.ts";
import { opcode } from "./opcodes.ts";
import { decodeString, expandedSize, stringSize } from "./string.ts";
import type { Tally } from "./summary.ts";
import type { Visitor } from "./walker.ts";

/** What an interpreter collects: nothing but counts, or every entry with values up to a limit. */
export type Collect = {
  readonly entries: boolean;
  readonly valueBytes: number;
  /** How far apart borders are noted, infinity for none. */
  readonly borderBytes: number;
};

const noKey: Uint8Array = new Uint8Array(0);

/** Gives meaning to what the walker passes: which database, which expiry, which key. */
export class Interpreter implements Visitor {
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Entries since they were last taken. */
  entries: RdbEntry[] = [];
  format: Format | undefined;
  /** The eight bytes of the CRC64, once they were read. */
  crc: Uint8Array | undefined;
  /** Borders since they were last taken; what their checksums are is not known here. */
  readonly places: Omit<Border, "crc64">[] = [];
  readonly #tally: Tally;
  readonly #collects: boolean;
  #db: number;
  #key = noKey;
  #hasExpiry = false;
  #expireTimeMs = -1;
  #idleSeconds: number | undefined;
  #freq: number | undefined;
  readonly #borderBytes: number;
  /** The first record that ends here or behind it is followed by a border. */
  #nextBorder: number;

  constructor(tally: Tally, collect: Collect, from?: { format: Format; db: number }) {
    this.#tally = tally;
    this.#collects = collect.entries;
    this.keyBytes = collect.entries ? limits.heldBytes : 0;
    this.valueBytes = collect.entries ? collect.valueBytes : 0;
    this.format = from?.format;
    this.#db = from?.db ?? 0;
    this.#borderBytes = this.#nextBorder = collect.borderBytes;
  }

  /** The chunk is over and its bytes may change: a key whose value goes on must be copied (`slice` of a Buffer does not). */
  keep(): void {
    if (this.#key.length > 0) this.#key = new Uint8Array(this.#key);
  }

  header(bytes: Uint8Array): Format {
    this.format = readHeader(bytes);
    return this.format;
  }

  operandBytes(code: number): number {
    switch (code) {
      case opcode.selectDatabase:
      case opcode.slotInfo:
        return 27;
      case opcode.aux:
        return limits.auxBytes;
      case opcode.function:
        return this.#collects ? limits.heldBytes : 0;
      case opcode.expireMilliseconds:
      case opcode.expireSeconds:
      case opcode.idle:
      case opcode.freq:
        return this.#collects ? 9 : 0;
      default:
        return 0;
    }
  }

  operands(code: number, offset: number, held: Hold | undefined): void {
    switch (code) {
      case opcode.expireMilliseconds:
      case opcode.expireSeconds:
        this.#hasExpiry = true;
        if (held !== undefined) this.#expireTimeMs = expireTimeMs(code, held);
        return;
      case opcode.idle:
        if (held !== undefined) this.#idleSeconds = lengthAt(held.bytes, held.from);
        return;
      case opcode.freq:
        if (held !== undefined) this.#freq = held.bytes[held.from];
        return;
      case opcode.selectDatabase:
        if (held !== undefined) this.#db = lengthAt(held.bytes, held.from);
        this.#tally.selectDatabase(this.#db, offset);
        return;
      case opcode.aux:
        if (held !== undefined) this.#aux(held, offset);
        return;
      case opcode.function:
        this.#function(held, offset);
        return;
      case opcode.slotInfo:
        if (held !== undefined) this.#tally.slotInfo(lengthAt(held.bytes, held.from));
        return;
      case opcode.slotImport:
        this.#tally.slotImport();
        return;
    }
  }

  key(offset: number, held: Hold | undefined): void {
    if (this.#collects) this.#key = plain("a key", held, offset);
  }

  value(type: number, recordOffset: number, start: number, end: number, held: Hold | undefined): void {
    this.#tally.value(type, 1 + end - start, this.#hasExpiry);
    if (this.#collects) {
      this.entries.push({
        kind: "record",
        db: this.#db,
        key: this.#key,
        expireTimeMs: this.#expireTimeMs,
        idleSeconds: this.#idleSeconds,
        freq: this.#freq,
        type,
        value: held?.bytes.subarray(held.from, held.to),
        offset: recordOffset,
        valueStart: start,
        valueEnd: end,
      });
      this.#key = noKey;
      this.#expireTimeMs = -1;
      this.#idleSeconds = undefined;
      this.#freq = undefined;
    }
    this.#hasExpiry = false;
    if (end >= this.#nextBorder) this.#noteBorder(end);
  }

  moduleId(high: number, low: number, offset: number): void {
    this.#tally.moduleType(high, low, offset);
  }

  footer(held: Hold): void {
    this.crc = new Uint8Array(held.bytes.subarray(held.from, held.to));
  }

  #noteBorder(offset: number): void {
    this.places.push({ offset, database: this.#db, ...this.#tally.counts() });
    this.#nextBorder = (Math.floor(offset / this.#borderBytes) + 1) * this.#borderBytes;
  }

  #aux(held: Hold, offset: number): void {
    const valueAt = held.from + stringSize(held.bytes, held.from);
    const name = decodeString(held.bytes, held.from, offset);
    const value = decodeString(held.bytes, valueAt, offset + valueAt - held.from);
    this.#tally.aux(Buffer.from(name).toString("latin1"), Buffer.from(value).toString("latin1"));
  }

  #function(held: Hold | undefined, offset: number): void {
    this.#tally.function();
    if (!this.#collects) return;
    this.entries.push({ kind: "function", code: plain("a function library", held, offset), offset: offset - 1 });
  }
}

/** What is handed out as plain bytes: an LZF block of few bytes may hold 88 times as many. */
function plain(what: string, held: Hold | undefined, offset: number): Uint8Array {
  if (held === undefined || expandedSize(held.bytes, held.from) > limits.heldBytes)
    throw unsupported(`${what} of more than ${limits.heldBytes} bytes`, offset);
  return decodeString(held.bytes, held.from, offset);
}

/** Both forms are signed; seconds are from before Redis 2.6. */
function expireTimeMs(code: number, { bytes, from }: Hold): number {
  const low = littleEndianAt(bytes, from);
  if (code === opcode.expireSeconds) return (low | 0) * 1000;
  return Math.min((littleEndianAt(bytes, from + 4) | 0) * 2 ** 32 + low, latestExpireTimeMs);
}
