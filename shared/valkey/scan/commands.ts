import type { KeyBatch } from "./key-batch.ts";

const begin = Buffer.from("*1\r\n$5\r\nMULTI\r\n");
const end = Buffer.from("*1\r\n$4\r\nEXEC\r\n");
const expireTime = Buffer.from("*2\r\n$11\r\nPEXPIRETIME\r\n$");
const dump = Buffer.from("*2\r\n$4\r\nDUMP\r\n$");
/** The digits of a key's length, and the two ends of line around the key. */
const frameBytes = 20;

/**
 * One transaction that asks for expiry and value of the keys `[first, last)`, so that both are of one moment. The expiry comes
 * first: a value may be too large to be held until it is known.
 */
export function dumpCommands(keys: KeyBatch, first: number, last: number): Buffer {
  const keyBytes = keys.endOf(last - 1) - keys.startOf(first);
  const perKey = expireTime.length + dump.length + 2 * frameBytes;
  const buffer = Buffer.allocUnsafe(begin.length + end.length + 2 * keyBytes + (last - first) * perKey);
  let at = put(buffer, 0, begin);
  for (let index = first; index < last; index++) {
    at = putKey(buffer, put(buffer, at, expireTime), keys, index);
    at = putKey(buffer, put(buffer, at, dump), keys, index);
  }
  return buffer.subarray(0, put(buffer, at, end));
}

function put(buffer: Buffer, at: number, bytes: Uint8Array): number {
  buffer.set(bytes, at);
  return at + bytes.length;
}

function putKey(buffer: Buffer, start: number, keys: KeyBatch, index: number): number {
  const [from, to] = [keys.startOf(index), keys.endOf(index)];
  let at = start + buffer.write(`${to - from}\r\n`, start, "latin1");
  for (let byte = from; byte < to; byte++) buffer[at++] = keys.bytes[byte] as number;
  buffer[at++] = 0x0d;
  buffer[at++] = 0x0a;
  return at;
}

/** A call of SCAN; with `probe` in one transaction between two others that begin at that cursor and ask for one key. */
export function scanCommands(cursor: string, count: number, probe: string | undefined): Buffer {
  const scan = (from: string, keys: number) => words("SCAN", from, "COUNT", String(keys));
  if (probe === undefined) return scan(cursor, count);
  return Buffer.concat([begin, scan(probe, 1), scan(cursor, count), scan(probe, 1), end]);
}

function words(...all: string[]): Buffer {
  return Buffer.from(`*${all.length}\r\n${all.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`);
}
