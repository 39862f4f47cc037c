import type { Border } from "./border.ts";
import { unsupported } from "./damage.ts";
import { latestExpireTimeMs } from "./entry.ts";
import { type Format, readHeader } from "./header.ts";
import type { Hold } from "./hold.ts";
import { lengthAt, littleEndianAt } from "./length.ts";
import { limits } from "./limits.ts";
import { opcode } from "./opcodes.ts";
import { PassingRecord, type RecordSink } from "./passing.ts";
import { decodeString, expandedSize, stringSize } from "./string.ts";
import type { Tally } from "./summary.ts";
import type { Visitor } from "./walker.ts";

/** What an interpreter does beside counting. */
export type Collect = {
  /** Is told of every record and function; absent: nobody is. */
  readonly sink: RecordSink | undefined;
  /** Values longer than this are told without their bytes. */
  readonly valueBytes: number;
  /** How far apart borders are noted, infinity for none. */
  readonly borderBytes: number;
};

/** Gives meaning to what the walker passes: which database, which expiry, which key. */
export class Interpreter implements Visitor {
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Where the last record ended, -1 before the first and behind a function; and its database. */
  recordEnd = -1;
  recordDb = 0;
  format: Format | undefined;
  /** The eight bytes of the CRC64, once they were read. */
  crc: Uint8Array | undefined;
  /** Borders since they were last taken; what their checksums are is not known here. */
  readonly places: Omit<Border, "crc64">[] = [];
  readonly #tally: Tally;
  readonly #sink: RecordSink | undefined;
  readonly #passing = new PassingRecord();
  #db: number;
  #hasExpiry = false;
  readonly #borderBytes: number;
  /** The first record that ends here or behind it is followed by a border. */
  #nextBorder: number;

  constructor(tally: Tally, collect: Collect, from?: { format: Format; db: number }) {
    this.#tally = tally;
    this.#sink = collect.sink;
    this.keyBytes = collect.sink ? limits.heldBytes : 0;
    this.valueBytes = collect.sink ? collect.valueBytes : 0;
    this.format = from?.format;
    this.#db = from?.db ?? 0;
    this.#borderBytes = this.#nextBorder = collect.borderBytes;
  }

  /** The chunk is over and its bytes may change: a key whose value goes on must be copied. */
  keep(): void {
    this.#passing.keepKey();
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
        return this.#sink ? limits.heldBytes : 0;
      case opcode.expireMilliseconds:
      case opcode.expireSeconds:
      case opcode.idle:
      case opcode.freq:
        return this.#sink ? 9 : 0;
      default:
        return 0;
    }
  }

  operands(code: number, offset: number, held: Hold | undefined): void {
    switch (code) {
      case opcode.expireMilliseconds:
      case opcode.expireSeconds:
        this.#hasExpiry = true;
        if (held !== undefined) this.#passing.expireTimeMs = expireTimeMs(code, held);
        return;
      case opcode.idle:
        if (held !== undefined) this.#passing.idleSeconds = lengthAt(held.bytes, held.from);
        return;
      case opcode.freq:
        if (held !== undefined) this.#passing.freq = held.bytes[held.from];
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
    if (this.#sink === undefined) return;
    const passing = this.#passing;
    const length = held === undefined ? shortBytes : (held.bytes[held.from] as number);
    if (held === undefined || length >= shortBytes) passing.key = plain("a key", held, offset);
    else {
      passing.keyBytes = held.bytes;
      passing.keyFrom = held.from + 1;
      passing.keyTo = passing.keyFrom + length;
    }
  }

  value(type: number, recordOffset: number, start: number, end: number, held: Hold | undefined): void {
    this.#tally.value(type, 1 + end - start, this.#hasExpiry);
    if (this.#sink !== undefined) {
      const passing = this.#passing;
      passing.db = this.recordDb = this.#db;
      passing.type = type;
      passing.offset = recordOffset;
      passing.valueStart = start;
      passing.valueEnd = this.recordEnd = end;
      if (held !== undefined) {
        passing.valueBytes = held.bytes;
        passing.valueFrom = held.from;
        passing.valueTo = held.to;
      }
      this.#sink.record(passing);
      passing.clear();
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
    if (this.#sink === undefined) return;
    this.recordEnd = -1;
    this.#sink.function({ kind: "function", code: plain("a function library", held, offset), offset: offset - 1 });
  }
}

/** Strings below this length begin with it, in one byte (rdb.h, RDB_6BITLEN). */
const shortBytes = 0x40;

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
