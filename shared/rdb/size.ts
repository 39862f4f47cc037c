import { damaged } from "./damage.ts";
import { lengthAt, lengthSize } from "./length.ts";
import { limits } from "./limits.ts";
import { special } from "./string.ts";

/**
 * How many bytes something takes, told from its first bytes alone: the rest may be in a later chunk. `bytes` is known
 * from `at` to `end`, and `base` is the place of its first byte in the file. Answers 0 if what tells is itself cut off;
 * throws DATA_LOSS for what no server writes.
 */
export function sizeOfString(bytes: Uint8Array, at: number, end: number, base: number): number {
  const first = bytes[at] as number;
  if (first >= special.int8 && first <= special.int32) return 1 + (1 << (first - special.int8));
  const isLzf = first === special.lzf;
  const start = isLzf ? at + 1 : at;
  if (start >= end) return 0;
  const size = sizeOfLength(bytes[start] as number, base + start);
  const plain = start + size;
  if (plain > end) return 0;
  const length = believable(lengthAt(bytes, start), base + start);
  if (!isLzf) return size + length;
  if (plain >= end) return 0;
  const plainSize = sizeOfLength(bytes[plain] as number, base + plain);
  if (plain + plainSize > end) return 0;
  if (lengthAt(bytes, plain) > length * limits.lzfRatio) {
    throw damaged("an LZF string claims to grow more than LZF can", base + at);
  }
  return 1 + size + plainSize + length;
}

/** The same for a module item: a tag, and what it stands for (rdb.h, RDB_MODULE_OPCODE_*). */
export function sizeOfModuleItem(bytes: Uint8Array, at: number, end: number, base: number): number {
  const tagSize = sizeOfLength(bytes[at] as number, base + at);
  const start = at + tagSize;
  if (start > end) return 0;
  const tag = lengthAt(bytes, at);
  switch (tag) {
    case 0:
      return tagSize;
    case 1:
    case 2:
      return start < end ? tagSize + sizeOfLength(bytes[start] as number, base + start) : 0;
    case 3:
      return tagSize + 4;
    case 4:
      return tagSize + 8;
    case 5: {
      const size = start < end ? sizeOfString(bytes, start, end, base) : 0;
      return size === 0 ? 0 : tagSize + size;
    }
    default:
      throw damaged(`no module item has the tag ${tag}`, base + at);
  }
}

/** Bytes of the LEN that begins with this byte. */
export function sizeOfLength(first: number, offset: number): number {
  const size = lengthSize(first);
  if (size === 0) throw damaged(`no length begins with byte ${first}`, offset);
  return size;
}

/** The length or count itself, unless it is more than any server holds. */
export function believable(length: number, offset: number): number {
  if (length > limits.length) throw damaged(`a length of ${length} is more than any server holds`, offset);
  return length;
}
