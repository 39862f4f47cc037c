import { Crc64 } from "../../rdb/crc64.ts";
import type { RdbRecord } from "../../rdb/entry.ts";
import type { Magic } from "../../rdb/family.ts";
import { payloadExtraBytes } from "../../rdb/payload.ts";
import { valueTypes } from "../../rdb/types.ts";
import type { Block } from "./block.ts";

/** Room for everything in a RESTORE but its key and its value. */
const FRAME_BYTES = 256;
/** Below this a loop copies faster than `set`, which costs about 60 ns a call. */
const SHORT_BYTES = 48;

export interface RestoreStyle {
  magic: Magic;
  replace: boolean;
}

/** An upper bound of what `encodeRestore` writes. */
export function restoreBytes({ key }: RdbRecord, valueBytes: number): number {
  return FRAME_BYTES + key.length + valueBytes;
}

/** Writes one whole RESTORE; the block must have room. Each key passes here, hence plain loops and no allocation. */
export function encodeRestore(block: Block, record: RdbRecord, value: Uint8Array, style: RestoreStyle): void {
  const out = block.bytes;
  let at = encodeStart(out, block.at, record, value.length, style);
  const payload = at;
  out[at++] = record.type;
  at = copy(out, at, value);
  at = encodeVersion(out, at, record.type, style.magic);
  const crc = new Crc64();
  crc.update(out.subarray(payload, at));
  crc.writeTo(out, at);
  block.at = encodeEnd(out, at + 8, record, style);
  block.commands++;
}

/** All before the payload; answers where to go on. */
export function encodeStart(
  out: Uint8Array,
  from: number,
  record: RdbRecord,
  valueBytes: number,
  { replace }: RestoreStyle,
): number {
  const { key, expireTimeMs, idleSeconds, freq } = record;
  const hasExpiry = expireTimeMs !== -1;
  const words = 4 + (replace ? 1 : 0) + (hasExpiry ? 1 : 0) + (idleSeconds === undefined && freq === undefined ? 0 : 2);
  let at = copy(out, from, beginnings[words - 4] as Uint8Array);
  at = encodeBulkLength(out, at, key.length);
  at = copy(out, at, key);
  out[at++] = 0x0d;
  out[at++] = 0x0a;
  if (hasExpiry) at = encodeNumberBulk(out, at, expireTimeMs);
  else at = copy(out, at, noExpiry);
  return encodeBulkLength(out, at, valueBytes + payloadExtraBytes);
}

/** All behind the payload; answers where to go on. */
export function encodeEnd(out: Uint8Array, from: number, record: RdbRecord, { replace }: RestoreStyle): number {
  let at = from;
  out[at++] = 0x0d;
  out[at++] = 0x0a;
  if (replace) at = copy(out, at, replaceWord);
  if (record.expireTimeMs !== -1) at = copy(out, at, absoluteWord);
  if (record.idleSeconds !== undefined) return encodeNumberBulk(out, copy(out, at, idleWord), record.idleSeconds);
  if (record.freq !== undefined) return encodeNumberBulk(out, copy(out, at, freqWord), record.freq);
  return at;
}

const beginnings = [4, 5, 6, 7, 8].map((words) => ascii(`*${words}\r\n$7\r\nRESTORE\r\n`));
const noExpiry = ascii("$1\r\n0\r\n");
const replaceWord = ascii("$7\r\nREPLACE\r\n");
const absoluteWord = ascii("$6\r\nABSTTL\r\n");
const idleWord = ascii("$8\r\nIDLETIME\r\n");
const freqWord = ascii("$4\r\nFREQ\r\n");

/** The lowest RDB version that has the type, so that older servers take it too. */
function encodeVersion(out: Uint8Array, at: number, type: number, magic: Magic): number {
  const version = valueTypes[magic][type]?.minimumRdbVersion ?? 0;
  out[at] = version & 0xff;
  out[at + 1] = version >> 8;
  return at + 2;
}

function encodeBulkLength(out: Uint8Array, at: number, length: number): number {
  out[at] = 0x24;
  const end = encodeNumber(out, at + 1, length);
  out[end] = 0x0d;
  out[end + 1] = 0x0a;
  return end + 2;
}

function encodeNumberBulk(out: Uint8Array, at: number, value: number): number {
  const from = encodeBulkLength(out, at, digits(value));
  const end = encodeNumber(out, from, value);
  out[end] = 0x0d;
  out[end + 1] = 0x0a;
  return end + 2;
}

/** Decimal digits of a whole number from 0 on. */
function encodeNumber(out: Uint8Array, at: number, value: number): number {
  const end = at + digits(value);
  let rest = value;
  for (let to = end - 1; to >= at; to--) {
    const next = Math.floor(rest / 10);
    out[to] = 0x30 + rest - next * 10;
    rest = next;
  }
  return end;
}

function digits(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}

function copy(out: Uint8Array, at: number, bytes: Uint8Array): number {
  const { length } = bytes;
  if (length < SHORT_BYTES) for (let n = 0; n < length; n++) out[at + n] = bytes[n] as number;
  else out.set(bytes, at);
  return at + length;
}

function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}
