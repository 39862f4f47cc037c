import { lengthAt, lengthSize, littleEndianAt } from "./length.ts";
import { expandLzf } from "./lzf.ts";

/** The first bytes of strings that are not a length and so many bytes (rdb.h, RDB_ENC_* behind RDB_ENCVAL). */
export const special = { int8: 0xc0, int16: 0xc1, int32: 0xc2, lzf: 0xc3 } as const;

/** Bytes of the whole STR at `at`, all of whose lengths must be there. */
export function stringSize(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first >= special.int8 && first <= special.int32) return 1 + (1 << (first - special.int8));
  const start = first === special.lzf ? at + 1 : at;
  const size = lengthSize(bytes[start] as number);
  const length = lengthAt(bytes, start);
  return first === special.lzf ? 1 + size + lengthSize(bytes[start + size] as number) + length : size + length;
}

/** How long the STR at `at` claims to be once it is expanded; 0 if it is no LZF block, and so no longer than it is there. */
export function expandedSize(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== special.lzf) return 0;
  return lengthAt(bytes, at + 1 + lengthSize(bytes[at + 1] as number));
}

/**
 * The plain bytes of a STR that was found whole at `at`: a view where it is plain already, the decimal digits of an
 * integer, or the expansion of an LZF block. `offset` is its place in the file, for DATA_LOSS of a bad block.
 */
export function decodeString(bytes: Uint8Array, at: number, offset: number): Uint8Array {
  const first = bytes[at] as number;
  if (first < 0x40) return bytes.subarray(at + 1, at + 1 + first);
  switch (first) {
    case special.int8:
      return digits(((bytes[at + 1] as number) << 24) >> 24);
    case special.int16:
      return digits((((bytes[at + 2] as number) << 24) >> 16) | (bytes[at + 1] as number));
    case special.int32:
      return digits(littleEndianAt(bytes, at + 1) | 0);
    case special.lzf:
      return decodeLzf(bytes, at + 1, offset);
  }
  const start = at + lengthSize(first);
  return bytes.subarray(start, start + lengthAt(bytes, at));
}

const digits = (value: number): Uint8Array => Buffer.from(String(value), "latin1");

function decodeLzf(bytes: Uint8Array, at: number, offset: number): Uint8Array {
  const blockLength = lengthAt(bytes, at);
  const plain = at + lengthSize(bytes[at] as number);
  const block = plain + lengthSize(bytes[plain] as number);
  return expandLzf(bytes.subarray(block, block + blockLength), lengthAt(bytes, plain), offset);
}
