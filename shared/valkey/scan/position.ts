import { StatusError } from "../../error.ts";

/** Bits of a cursor that name the slot, where each slot has a table of its own (Valkey kvstore.c, `num_dicts_bits`). */
const slotBits = 14n;

/** One past the last position: a table was walked to its end. */
export const endPosition = 1n << 64n;

/**
 * How far SCAN has come. Its cursor counts through the buckets of a hash table with the bits reversed: turned round again, as a
 * fraction of 2^64, it only rises, and a table of 2^n buckets cuts the 2^64 positions into 2^n equal buckets, whatever n
 * becomes meanwhile.
 */
export interface Position {
  /** 0 where all slots share one table. */
  slot: number;
  position: bigint;
}

/** Takes a cursor apart. The cursor 0 is the beginning. UNIMPLEMENTED: the server gave something else than a number. */
export function positionOf(cursor: string, hasTablePerSlot: boolean): Position {
  if (!/^\d{1,20}$/.test(cursor))
    throw new StatusError("UNIMPLEMENTED", "SCAN answers with cursors that are no numbers");
  const number = BigInt(cursor);
  if (!hasTablePerSlot) return { slot: 0, position: reversed(number) };
  return { slot: Number(number & ((1n << slotBits) - 1n)), position: reversed(number >> slotBits) };
}

/** The cursor with which the walk through a slot's table begins. */
export const firstCursor = (slot: number): string => String(slot);

/** The beginning of the bucket that a position lies in, of a table with 2^`exponent` buckets. */
export function bucketStart(position: bigint, exponent: number): bigint {
  const width = BigInt(64 - exponent);
  return (position >> width) << width;
}

/**
 * How many buckets a table has at least, as a power of two, if a walk through it may stand at this position: it stops between
 * two buckets only.
 */
export function exponentAt(position: bigint): number {
  let exponent = 64;
  for (let rest = position; exponent > 0 && (rest & 1n) === 0n; rest >>= 1n) exponent--;
  return exponent;
}

function reversed(number: bigint): bigint {
  let result = 0n;
  let rest = number;
  for (let bit = 0; bit < 64; bit++, rest >>= 1n) result = (result << 1n) | (rest & 1n);
  return result;
}
