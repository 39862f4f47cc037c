import { Crc64 } from "./crc64.ts";
import { encodeHeader, type Format } from "./header.ts";
import { opcode } from "./opcodes.ts";
import { encodeLength, encodeString } from "./writer.ts";

/** Where a file stands that another stream goes on with: its bytes so far, and their running CRC64. */
export type RdbStreamStart = { readonly offset: number; readonly crc64: bigint };

const usualBytes = 1024 * 1024;

/**
 * Writes a file as it comes, piece by piece, with its running CRC64: `rdbChunks` for values that are too large to be held,
 * and for files that several streams write, one after the other. Whoever writes takes what there is by `take`.
 */
export class RdbStream {
  readonly #crc: Crc64;
  #buffer = Buffer.allocUnsafe(usualBytes);
  #at = 0;
  /** Bytes of the file that were taken. */
  #taken: number;

  constructor(start: RdbStreamStart = { offset: 0, crc64: 0n }) {
    this.#crc = new Crc64(start.crc64);
    this.#taken = start.offset;
  }

  /** Bytes of the file so far. */
  get offset(): number {
    return this.#taken + this.#at;
  }

  /** Bytes that wait to be taken. */
  get waitingBytes(): number {
    return this.#at;
  }

  /** The CRC64 of all that was taken. */
  get crc64(): bigint {
    return this.#crc.value();
  }

  header(format: Format): void {
    this.append(encodeHeader(format));
  }

  aux(name: string, value: string): void {
    this.byte(opcode.aux);
    this.append(encodeString(name));
    this.append(encodeString(value));
  }

  selectDatabase(db: number): void {
    this.byte(opcode.selectDatabase);
    this.append(encodeLength(db));
  }

  databaseSize(keys: number, expires: number): void {
    this.byte(opcode.resizeDatabase);
    this.append(encodeLength(keys));
    this.append(encodeLength(expires));
  }

  /** Unix time in milliseconds, of the record that follows. */
  expireTime(milliseconds: bigint): void {
    this.byte(opcode.expireMilliseconds);
    this.#reserve(8);
    this.#at = this.#buffer.writeBigInt64LE(milliseconds, this.#at);
  }

  /** A record up to its value, whose bytes are to be appended. The key is `bytes[from, to)`. */
  beginRecord(type: number, bytes: Uint8Array, from: number, to: number): void {
    this.byte(type);
    const length = to - from;
    if (length < 0x40) this.byte(length);
    else this.append(encodeLength(length));
    this.append(bytes, from, to);
  }

  byte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = byte;
  }

  append(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.#reserve(to - from);
    // A loop wins over a view and a copy as long as there are few bytes.
    if (to - from < 64) for (let at = from; at < to; at++) this.#buffer[this.#at++] = bytes[at] as number;
    else {
      this.#buffer.set(bytes.subarray(from, to), this.#at);
      this.#at += to - from;
    }
  }

  /** What was written since, valid until something more is written. */
  take(): Uint8Array {
    const piece = this.#buffer.subarray(0, this.#at);
    this.#crc.update(piece);
    this.#taken += this.#at;
    this.#at = 0;
    return piece;
  }

  /** The end of the file, to be taken right after all before it was. */
  end(): Uint8Array {
    if (this.#at > 0) throw new TypeError("there are bytes that nobody has taken");
    this.byte(opcode.end);
    const mark = Uint8Array.from(this.take());
    const footer = new Uint8Array(9);
    footer.set(mark);
    this.#crc.writeTo(footer, 1);
    return footer;
  }

  #reserve(length: number): void {
    if (this.#at + length <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#at + length));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }
}
