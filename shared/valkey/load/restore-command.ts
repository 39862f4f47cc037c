import { Crc64 } from "../../rdb/crc64.ts";
import type { Magic } from "../../rdb/family.ts";
import type { PassingRecord } from "../../rdb/passing.ts";
import { payloadExtraBytes } from "../../rdb/payload.ts";
import { valueTypes } from "../../rdb/types.ts";
import type { Block } from "./block.ts";

/** Room for everything in a RESTORE but its key and its value. */
const FRAME_BYTES = 256;
/** Below this a loop copies faster than `copy` of a Buffer, which costs about 45 ns a call. */
const SHORT_BYTES = 40;
/** What bit operations take for a whole number. */
const SMALL = 2 ** 31 - 1;

const copyBytes = Buffer.prototype.copy;

/** Of the payload that is written: one for all, as each is reckoned at a stretch. */
const crc = new Crc64();

export interface RestoreStyle {
  magic: Magic;
  replace: boolean;
}

/** What a RESTORE says of a key besides its value. */
export type RestoreHead = Pick<
  PassingRecord,
  "keyBytes" | "keyFrom" | "keyTo" | "expireTimeMs" | "idleSeconds" | "freq"
>;

/** An upper bound of what a RESTORE takes. */
export function restoreBytes({ keyFrom, keyTo }: RestoreHead, valueBytes: number): number {
  return FRAME_BYTES + keyTo - keyFrom + valueBytes;
}

/** Writes one whole RESTORE; the block must have room. Each key passes here, hence plain loops and no allocation. */
export function encodeRestore(block: Block, record: PassingRecord, value: Uint8Array, style: RestoreStyle): void {
  const out = block.bytes;
  const { type, valueFrom, valueTo } = record;
  let at = encodeStart(out, block.at, record, valueTo - valueFrom, style);
  out[at++] = type;
  at = copy(out, at, value, valueFrom, valueTo);
  // No version is above 255: the second of its two bytes is zero.
  const version = versions[style.magic][type] as number;
  out[at++] = version;
  out[at++] = 0;
  crc.reset();
  crc.updateByte(type);
  crc.update(value, valueFrom, valueTo);
  crc.updateByte(version);
  crc.updateByte(0);
  crc.writeTo(out, at);
  block.at = encodeEnd(out, at + 8, record, style);
  block.commands++;
}

/** All before the payload; answers where to go on. */
export function encodeStart(
  out: Uint8Array,
  from: number,
  head: RestoreHead,
  valueBytes: number,
  { replace }: RestoreStyle,
): number {
  const { keyBytes, keyFrom, keyTo, expireTimeMs, idleSeconds, freq } = head;
  const hasExpiry = expireTimeMs !== -1;
  const words = 4 + (replace ? 1 : 0) + (hasExpiry ? 1 : 0) + (idleSeconds === undefined && freq === undefined ? 0 : 2);
  let at = copy(out, from, beginnings[words - 4] as Uint8Array);
  at = encodeBulkLength(out, at, keyTo - keyFrom);
  at = copy(out, at, keyBytes, keyFrom, keyTo);
  out[at++] = 0x0d;
  out[at++] = 0x0a;
  if (hasExpiry) at = encodeNumberBulk(out, at, expireTimeMs);
  else at = copy(out, at, noExpiry);
  return encodeBulkLength(out, at, valueBytes + payloadExtraBytes);
}

/** All behind the payload; answers where to go on. */
export function encodeEnd(out: Uint8Array, from: number, head: RestoreHead, { replace }: RestoreStyle): number {
  let at = from;
  out[at++] = 0x0d;
  out[at++] = 0x0a;
  if (replace) at = copy(out, at, replaceWord);
  if (head.expireTimeMs !== -1) at = copy(out, at, absoluteWord);
  if (head.idleSeconds !== undefined) return encodeNumberBulk(out, copy(out, at, idleWord), head.idleSeconds);
  if (head.freq !== undefined) return encodeNumberBulk(out, copy(out, at, freqWord), head.freq);
  return at;
}

const beginnings = [4, 5, 6, 7, 8].map((words) => ascii(`*${words}\r\n$7\r\nRESTORE\r\n`));
const noExpiry = ascii("$1\r\n0\r\n");
const replaceWord = ascii("$7\r\nREPLACE\r\n");
const absoluteWord = ascii("$6\r\nABSTTL\r\n");
const idleWord = ascii("$8\r\nIDLETIME\r\n");
const freqWord = ascii("$4\r\nFREQ\r\n");

/** By magic and type: the lowest RDB version that has the type, so that older servers take it too. */
const versions = { REDIS: versionsOf("REDIS"), VALKEY: versionsOf("VALKEY") } satisfies Record<Magic, Uint8Array>;

function versionsOf(magic: Magic): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, type) => valueTypes[magic][type]?.minimumRdbVersion ?? 0);
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
  let to = end;
  let rest = value;
  // The processor divides small integers several times faster than large ones.
  for (; rest > SMALL; to--) {
    const next = Math.floor(rest / 10);
    out[to - 1] = 0x30 + rest - next * 10;
    rest = next;
  }
  for (let small = rest | 0; to > at; to--) {
    const next = (small / 10) | 0;
    out[to - 1] = 0x30 + small - next * 10;
    small = next;
  }
  return end;
}

function digits(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}

function copy(out: Uint8Array, at: number, bytes: Uint8Array, from = 0, to = bytes.length): number {
  // A view of them for `set` would take as long, and leave garbage.
  if (to - from >= SHORT_BYTES) copyBytes.call(bytes, out, at, from, to);
  else for (let n = 0; n < to - from; n++) out[at + n] = bytes[from + n] as number;
  return at + to - from;
}

function ascii(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}
