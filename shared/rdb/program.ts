import type { Magic } from "./family.ts";
import { compile, instruction } from "./layout.ts";
import { opcodes } from "./opcodes.ts";
import { valueTypes } from "./types.ts";

/** All layouts of a family in one array of instruction and argument, and where each of them begins. */
export type Program = {
  readonly code: Int32Array;
  /** By opcode or type: the index of its first instruction, or -1 if it is not understood. */
  readonly entries: Int32Array;
  /** By opcode or type: 1 if it is a type. */
  readonly isType: Uint8Array;
  /** By opcode: 1 if it belongs to the key that follows. */
  readonly isKeyPrefix: Uint8Array;
};

/** Where each program reads the file's first bytes, and where it reads the byte that says what comes. */
export const entry = { header: 0, next: 2, end: 4, endWithCrc: 6 } as const;

export const programs: Readonly<Record<Magic, Program>> = { REDIS: build("REDIS"), VALKEY: build("VALKEY") };

function build(magic: Magic): Program {
  const code: number[] = [
    ...[instruction.header, 0],
    ...[instruction.next, 0],
    ...[instruction.nothing, 0],
    ...[instruction.bytes, 8, instruction.footerEnd, 0],
    ...[instruction.nothing, 0],
  ];
  const entries = new Int32Array(256).fill(-1);
  const isType = new Uint8Array(256);
  const isKeyPrefix = new Uint8Array(256);
  for (const [type, { layout }] of Object.entries(valueTypes[magic])) {
    entries[Number(type)] = code.length;
    isType[Number(type)] = 1;
    code.push(instruction.string, 0, instruction.keyEnd, 0);
    compile(layout, code);
    code.push(instruction.valueEnd, 0);
  }
  for (const [opcode, operands] of Object.entries(opcodes[magic])) {
    entries[Number(opcode)] = code.length;
    isKeyPrefix[Number(opcode)] = operands.isKeyPrefix ? 1 : 0;
    compile(operands.layout, code);
    code.push(instruction.operandsEnd, 0);
  }
  return { code: Int32Array.from(code), entries, isType, isKeyPrefix };
}
