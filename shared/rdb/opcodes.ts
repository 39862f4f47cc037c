import type { Magic } from "./family.ts";
import { bytes, type Layout, length, moduleId, moduleItems, repeat, string } from "./layout.ts";

/** The bytes that say what comes next, where they are not a type (rdb.h, RDB_OPCODE_*). */
export const opcode = {
  slotImport: 243,
  slotInfo: 244,
  function: 245,
  functionBeforeRelease: 246,
  moduleAux: 247,
  idle: 248,
  freq: 249,
  aux: 250,
  resizeDatabase: 251,
  expireMilliseconds: 252,
  expireSeconds: 253,
  selectDatabase: 254,
  end: 255,
} as const;

/** What follows an opcode. */
export type Operands = {
  readonly layout: Layout;
  /** It belongs to the key that follows, so that only another such opcode or a type may come after it. */
  readonly isKeyPrefix: boolean;
};

const operands = (...layout: Layout): Operands => ({ layout, isKeyPrefix: false });
const prefix = (...layout: Layout): Operands => ({ layout, isKeyPrefix: true });

const shared: Readonly<Record<number, Operands>> = {
  [opcode.slotInfo]: operands(length, length, length),
  [opcode.function]: operands(string),
  // The tag and number that say when the module wrote (LEN 2, LEN when) read like any other item.
  [opcode.moduleAux]: operands(moduleId, moduleItems),
  [opcode.idle]: prefix(length),
  [opcode.freq]: prefix(bytes(1)),
  [opcode.aux]: operands(string, string),
  [opcode.resizeDatabase]: operands(length, length),
  [opcode.expireMilliseconds]: prefix(bytes(8)),
  [opcode.expireSeconds]: prefix(bytes(4)),
  [opcode.selectDatabase]: operands(length),
};

/** Every opcode that is understood, by family, but for the end of the file. */
export const opcodes: Readonly<Record<Magic, Readonly<Record<number, Operands>>>> = {
  REDIS: shared,
  VALKEY: { ...shared, [opcode.slotImport]: operands(string, repeat(length, length)) },
};

/** Opcodes that are known and refused, by family, with the reason. */
export const refusedOpcodes: Readonly<Record<Magic, Readonly<Record<number, string>>>> = {
  REDIS: {
    242: "hash templates of Redis 8.10",
    243: "key metadata of Redis 8.6",
    246: "functions from before their release in 7.0",
  },
  VALKEY: { 242: "a command of an unreleased Valkey", 246: "functions from before their release in 7.0" },
};
