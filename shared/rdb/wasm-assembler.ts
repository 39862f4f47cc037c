/**
 * Just enough of a WebAssembly assembler for the CRC (WebAssembly Core Specification 1.0, chapter 5): instructions are
 * byte arrays that already hold their operands, so an expression is written as nested calls.
 */
export type Func = {
  readonly parameters: readonly Local[];
  readonly locals: readonly Local[];
  readonly body: number[][];
};

type ValueType = "i32" | "i64";

/** A parameter or local variable: the instructions that read it and that write it. */
export type Local = { readonly type: ValueType; readonly get: number[]; set(value: number[]): number[] };

/** How many places to shift: a number, or what reckons it. Only the lowest six bits count. */
type Bits = number | number[];

const valueTypes = { i32: 0x7f, i64: 0x7e } as const;

/** The local number `index` of a function; parameters come first and every local starts as zero. */
export function local(index: number, type: ValueType): Local {
  return { type, get: [0x20, index], set: (value) => [...value, 0x21, index] };
}

/** The instructions, named for what they do; loads and stores are of 8 bytes at an address plus an offset. */
export const code = {
  constant32: (value: number): number[] => [0x41, ...signed(BigInt(value))],
  constant64: (value: bigint): number[] => [0x42, ...signed(BigInt.asIntN(64, value))],
  add32: (a: number[], b: number[]): number[] => [...a, ...b, 0x6a],
  subtract32: (a: number[], b: number[]): number[] => [...a, ...b, 0x6b],
  subtract64: (a: number[], b: number[]): number[] => [...a, ...b, 0x7d],
  and32: (a: number[], b: number[]): number[] => [...a, ...b, 0x71],
  lessThan32: (a: number[], b: number[]): number[] => [...a, ...b, 0x49],
  and64: (a: number[], b: number[]): number[] => [...a, ...b, 0x83],
  xor64: (a: number[], b: number[]): number[] => [...a, ...b, 0x85],
  notZero64: (a: number[]): number[] => [...a, 0x50, 0x45],
  shiftLeft64: (a: number[], bits: Bits): number[] => [...a, ...places(bits), 0x86],
  shiftRightSigned64: (a: number[], bits: Bits): number[] => [...a, ...places(bits), 0x87],
  shiftRight64: (a: number[], bits: Bits): number[] => [...a, ...places(bits), 0x88],
  wrap: (a: number[]): number[] => [...a, 0xa7],
  extend: (a: number[]): number[] => [...a, 0xad],
  load64: (address: number[], offset: number): number[] => [...address, 0x29, 3, ...unsigned(offset)],
  store64: (address: number[], offset: number, value: number[]): number[] => [
    ...address,
    ...value,
    0x37,
    3,
    ...unsigned(offset),
  ],
  onlyIf: (condition: number[], ...body: number[][]): number[] => [...condition, 0x04, 0x40, ...body.flat(), 0x0b],
  loop: (...body: number[][]): number[] => [0x03, 0x40, ...body.flat(), 0x0b],
  /** Goes back to the start of the innermost loop. */
  againIf: (condition: number[]): number[] => [...condition, 0x0d, 0],
};

/** A module that exports its functions by name, and its `memory` of so many pages of 64 KiB. */
export function assemble(module: { pages: number; functions: Readonly<Record<string, Func>> }): Uint8Array {
  const functions = Object.entries(module.functions);
  const types = functions.map(([, func]) => [0x60, ...vector(func.parameters.map((p) => [valueTypes[p.type]])), 0]);
  const exported = functions.map(([name], index) => [...text(name), 0, index]);
  const bodies = functions.map(([, func]) => {
    const locals = func.locals.map((l) => [1, valueTypes[l.type]]);
    return sized([...vector(locals), ...func.body.flat(), 0x0b]);
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, vector(types)),
    ...section(3, vector(functions.map((_, index) => [index]))),
    ...section(5, vector([[0, ...unsigned(module.pages)]])),
    ...section(7, vector([...exported, [...text("memory"), 2, 0]])),
    ...section(10, vector(bodies)),
  ]);
}

const places = (bits: Bits): number[] => (typeof bits === "number" ? code.constant64(BigInt(bits)) : bits);
const section = (id: number, content: number[]): number[] => [id, ...sized(content)];
const sized = (content: number[]): number[] => [...unsigned(content.length), ...content];
const vector = (items: number[][]): number[] => [...unsigned(items.length), ...items.flat()];
const text = (value: string): number[] => sized([...Buffer.from(value)]);

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: bigint): number[] {
  const low = Number(value & 0x7fn);
  const rest = value >> 7n;
  const isLast = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
  return isLast ? [low] : [low | 0x80, ...signed(rest)];
}
