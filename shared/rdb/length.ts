/**
 * Bytes of the LEN that begins with this byte (rdb.h, RDB_6BITLEN to RDB_64BITLEN): 1, 2, 5 or 9. Zero if no LEN begins
 * so: either a string's special encoding, or damage.
 */
export function lengthSize(first: number): number {
  if (first < 0x40) return 1;
  if (first < 0x80) return 2;
  if (first === 0x80) return 5;
  return first === 0x81 ? 9 : 0;
}

/** The LEN at `at`, all of whose bytes must be there. Numbers above 2^53 lose their lowest bits. */
export function lengthAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x40) return first;
  if (first < 0x80) return ((first & 0x3f) << 8) | (bytes[at + 1] as number);
  const word = bigEndianAt(bytes, at + 1);
  return first === 0x80 ? word : word * 2 ** 32 + bigEndianAt(bytes, at + 5);
}

/** The unsigned 32-bit number at `at`, highest byte first. */
export function bigEndianAt(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16);
  return (high | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}

/** The unsigned 32-bit number at `at`, lowest byte first. */
export function littleEndianAt(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at + 3] as number) << 24) | ((bytes[at + 2] as number) << 16);
  return (high | ((bytes[at + 1] as number) << 8) | (bytes[at] as number)) >>> 0;
}
