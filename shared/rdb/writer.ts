import { crc64 } from "./crc64.ts";
import type { RdbRecord } from "./entry.ts";
import { encodeHeader, type Format, firstVersionWithCrc } from "./header.ts";
import { opcode } from "./opcodes.ts";

/** One thing in a file. A record's value is taken as it is, in the form that its type byte names. */
export type RdbItem =
  | ({ readonly kind: "record" } & Pick<RdbRecord, "key" | "type"> &
      Partial<Pick<RdbRecord, "db" | "expireTimeMs" | "idleSeconds" | "freq">> & {
        readonly value: Uint8Array | undefined;
      })
  | { readonly kind: "function"; readonly code: Uint8Array }
  | { readonly kind: "aux"; readonly name: string; readonly value: string }
  | { readonly kind: "database"; readonly db: number }
  | { readonly kind: "databaseSize"; readonly keys: number; readonly expires: number }
  /** Bytes that are taken as they are, opcode included. */
  | { readonly kind: "raw"; readonly bytes: Uint8Array };

/** A file's format, and whether it ends with its CRC64 or with the zeros of a server whose checksums are off. */
export type RdbFileOptions = Format & { readonly hasChecksum?: boolean };

/** A file of these items, piece by piece, ended by its footer. Selects a database whenever a record's `db` differs. */
export function* rdbChunks(options: RdbFileOptions, items: Iterable<RdbItem>): Generator<Uint8Array, void, undefined> {
  const { rdbVersion, hasChecksum = true } = options;
  let crc = 0n;
  const counted = (bytes: Uint8Array): Uint8Array => {
    if (hasChecksum) crc = crc64(bytes, crc);
    return bytes;
  };
  yield counted(encodeHeader(options));
  let db: number | undefined;
  for (const item of items) {
    if (item.kind === "record" && item.db !== undefined && item.db !== db) {
      db = item.db;
      yield counted(encodeItem({ kind: "database", db }));
    }
    if (item.kind === "database") db = item.db;
    yield counted(encodeItem(item));
  }
  yield counted(Uint8Array.of(opcode.end));
  if (rdbVersion < firstVersionWithCrc) return;
  const footer = Buffer.alloc(8);
  footer.writeBigUInt64LE(crc);
  yield footer;
}

/** The same in one piece. */
export function writeRdb(options: RdbFileOptions, items: Iterable<RdbItem>): Uint8Array {
  return Buffer.concat([...rdbChunks(options, items)]);
}

/** The shortest LEN of a number up to 2^53. */
export function encodeLength(length: number): Uint8Array {
  if (length < 0x40) return Uint8Array.of(length);
  if (length < 0x4000) return Uint8Array.of(0x40 | (length >> 8), length & 0xff);
  const bytes = Buffer.alloc(length < 2 ** 32 ? 5 : 9);
  bytes[0] = bytes.length === 5 ? 0x80 : 0x81;
  if (bytes.length === 5) bytes.writeUInt32BE(length, 1);
  else bytes.writeBigUInt64BE(BigInt(length), 1);
  return bytes;
}

/** The plain STR of these bytes; text is UTF-8. */
export function encodeString(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([encodeLength(bytes.length), bytes]);
}

/** One thing as a file has it, without a selection of its database. */
export function encodeItem(item: RdbItem): Uint8Array {
  switch (item.kind) {
    case "record":
      return encodeRecord(item);
    case "function":
      return Buffer.concat([Uint8Array.of(opcode.function), encodeString(item.code)]);
    case "aux":
      return Buffer.concat([Uint8Array.of(opcode.aux), encodeString(item.name), encodeString(item.value)]);
    case "database":
      return Buffer.concat([Uint8Array.of(opcode.selectDatabase), encodeLength(item.db)]);
    case "databaseSize":
      return Buffer.concat([Uint8Array.of(opcode.resizeDatabase), encodeLength(item.keys), encodeLength(item.expires)]);
    case "raw":
      return item.bytes;
  }
}

function encodeRecord(record: Extract<RdbItem, { kind: "record" }>): Uint8Array {
  const { key, type, value, expireTimeMs = -1, idleSeconds, freq } = record;
  if (value === undefined) throw new TypeError(`cannot write a record of type ${type} without its value`);
  const parts: Uint8Array[] = [];
  if (expireTimeMs !== -1) {
    const time = Buffer.alloc(9, opcode.expireMilliseconds);
    time.writeBigInt64LE(BigInt(expireTimeMs), 1);
    parts.push(time);
  }
  if (idleSeconds !== undefined) parts.push(Uint8Array.of(opcode.idle), encodeLength(idleSeconds));
  if (freq !== undefined) parts.push(Uint8Array.of(opcode.freq, freq));
  return Buffer.concat([...parts, Uint8Array.of(type), encodeString(key), value]);
}
