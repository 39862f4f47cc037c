import type { Block } from "./block.ts";
import { kind } from "./load-failure.ts";

/** One command of a block. */
export interface SentCommand {
  /** Its bytes within the block's. */
  bytes: Uint8Array;
  /** SELECT, FUNCTION LOAD, or a RESTORE of the type with this number. */
  kind: number;
}

/** Finds a command again in what was sent; only for the few that a server refuses, so that the others cost nothing. */
export function sentCommand({ bytes, large }: Block, index: number): SentCommand {
  let at = 0;
  for (let n = 0; ; n++) {
    const begin = at;
    const words = numberAt(bytes, at + 1);
    at = behindLine(bytes, at);
    const starts: number[] = [];
    const count = n === index && large !== undefined ? 1 : words;
    for (let word = 0; word < count; word++) {
      const length = numberAt(bytes, at + 1);
      at = behindLine(bytes, at);
      starts.push(at);
      at += length + 2;
    }
    if (n < index) continue;
    const [name = 0, , , payload = 0] = starts;
    return { bytes: bytes.subarray(begin, at), kind: kindOf(bytes[name], large?.type ?? bytes[payload] ?? 0) };
  }
}

/** The commands of a load differ in their first letters. */
function kindOf(letter: number | undefined, type: number): number {
  if (letter === 0x53) return kind.select;
  return letter === 0x46 ? kind.functionLoad : type;
}

function numberAt(bytes: Uint8Array, from: number): number {
  let number = 0;
  for (let at = from; bytes[at] !== 0x0d; at++) number = number * 10 + (bytes[at] as number) - 0x30;
  return number;
}

const behindLine = (bytes: Uint8Array, from: number): number => bytes.indexOf(0x0a, from) + 1;
