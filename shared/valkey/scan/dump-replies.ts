import { StatusError } from "../../error.ts";
import { Crc64 } from "../../rdb/crc64.ts";
import { payloadExtraBytes, payloadFooterBytes } from "../../rdb/payload.ts";
import type { RdbStream } from "../../rdb/rdb-stream.ts";
import { Expected } from "./expected.ts";
import type { KeyBatch } from "./key-batch.ts";

/** Of the footer: what comes before its CRC64. */
const versionBytes = 2;

/** The replies to `dumpCommands`, written as records while they come. A key that has vanished since SCAN named it is passed over. */
export class DumpReplies extends Expected {
  readonly command = "DUMP";
  readonly keys: KeyBatch;
  readonly last: number;
  /** Bytes of the values so far. */
  valueBytes = 0;
  /** Where the last of them ends in the file, once all have come: what was asked for later may stand behind it by then. */
  endOffset = 0;
  readonly #out: RdbStream;
  readonly #rdbVersion: number;
  #index: number;
  #hasBegun = false;
  #expireTime = "";
  /** Of the payload: bytes to come before its footer, its type among them. */
  #left = 0;
  #isOpen = false;
  #crc = new Crc64();
  readonly #footer = new Uint8Array(payloadFooterBytes);
  #footerAt = 0;

  /** For the keys `[first, last)`. No payload may need a newer RDB version than the file's. */
  constructor(keys: KeyBatch, first: number, last: number, file: { out: RdbStream; rdbVersion: number }) {
    super();
    this.keys = keys;
    this.last = last;
    this.#index = first;
    this.#out = file.out;
    this.#rdbVersion = file.rdbVersion;
  }

  override array(length: number): void {
    if (this.#hasBegun || length !== 2 * (this.last - this.#index)) this.garbage();
    this.#hasBegun = true;
  }

  override integer(text: string): void {
    if (!this.#hasBegun) this.garbage();
    this.#expireTime = text;
  }

  override bulk(length: number): void {
    if (!this.#hasBegun) this.garbage();
    if (length < 0) {
      this.#next();
      return;
    }
    if (length < payloadExtraBytes) this.garbage();
    this.#left = length - payloadFooterBytes;
    this.valueBytes += this.#left;
    this.#isOpen = false;
    this.#crc = new Crc64();
    this.#footerAt = 0;
  }

  override bytes(chunk: Uint8Array, from: number, to: number): void {
    let at = from;
    if (!this.#isOpen) this.#open(chunk[at++] as number);
    const end = Math.min(to, at + this.#left);
    if (end > at) {
      this.#out.append(chunk, at, end);
      this.#crc.update(chunk.subarray(at, end));
      this.#left -= end - at;
    }
    for (at = end; at < to; at++) this.#footer[this.#footerAt++] = chunk[at] as number;
  }

  override bulkEnd(): void {
    const [low = 0, high = 0] = this.#footer;
    this.#crc.updateByte(low);
    this.#crc.updateByte(high);
    const computed = new Uint8Array(payloadFooterBytes - versionBytes);
    this.#crc.writeTo(computed, 0);
    for (const [at, byte] of computed.entries())
      if (this.#footer[versionBytes + at] !== byte)
        throw new StatusError("UNAVAILABLE", "a value arrived damaged: the CRC64 of its DUMP does not agree");
    const version = low | (high << 8);
    if (version > this.#rdbVersion) throw newerThanFile(version, this.#rdbVersion);
    this.#next();
  }

  #open(type: number): void {
    this.#isOpen = true;
    this.#left--;
    this.#crc.updateByte(type);
    if (this.#expireTime !== "-1") this.#out.expireTime(BigInt(this.#expireTime));
    this.#out.beginRecord(type, this.keys.bytes, this.keys.startOf(this.#index), this.keys.endOf(this.#index));
  }

  #next(): void {
    this.#index++;
    if (this.#index < this.last) return;
    this.isDone = true;
    this.endOffset = this.#out.offset;
  }
}

const newerThanFile = (found: number, expected: number): StatusError =>
  new StatusError(
    "UNAVAILABLE",
    `a value needs RDB version ${found}, the file was begun with ${expected}: the server was upgraded meanwhile`,
  );
