import { opcode } from "./opcodes.ts";
import { encodeString } from "./writer.ts";

const name = "valkeep-remark";

/** Characters that a remark holds at most. */
const textLength = 1024;

const begin = Buffer.concat([Uint8Array.of(opcode.aux), encodeString(name)]);
const lengthBytes = 2;

/** Every remark has this length, so that the one at the end of some bytes is found without reading those. */
export const remarkBytes = begin.length + lengthBytes + textLength;

/**
 * A remark as part of a file, where a record could stand: an AUX field, which every reader passes over if it does not know it
 * (rdb.c, "We ignore fields we don't understand, as by AUX field contract"). ASCII.
 */
export function encodeRemark(text: string): Uint8Array {
  if (text.length > textLength || !/^[\x20-\x7e]*$/.test(text))
    throw new TypeError(`a remark holds up to ${textLength} printable characters`);
  return Buffer.concat([begin, encodeString(text.padEnd(textLength))]);
}

/** What a remark says; `undefined` where these bytes are none. */
export function decodeRemark(bytes: Uint8Array): string | undefined {
  if (bytes.length !== remarkBytes || Buffer.compare(bytes.subarray(0, begin.length), begin) !== 0) return undefined;
  return Buffer.from(bytes.subarray(begin.length + lengthBytes))
    .toString("latin1")
    .trimEnd();
}
