/**
 * How the bytes of a value or of an opcode's operands lie, written as data: the format page of `rdb.c` in one line a
 * type. `compile` turns layouts into one flat program that the walker can leave and enter at any byte.
 */
export type Item =
  /** A STR: a length and bytes, a small integer, or LZF. */
  | { readonly is: "string" }
  /** A LEN. */
  | { readonly is: "length" }
  /** A fixed number of bytes. */
  | { readonly is: "bytes"; readonly count: number }
  /** The score of an old sorted set: one byte, and so many ASCII digits unless it is nan, inf or -inf. */
  | { readonly is: "score" }
  /** A LEN that names a module's type. */
  | { readonly is: "moduleId" }
  /** What a module wrote: tagged items up to a zero. */
  | { readonly is: "moduleItems" }
  /** A LEN n, and n times the items. */
  | { readonly is: "repeat"; readonly items: Layout };

export type Layout = readonly Item[];

/** The items, as layouts are written with them. */
export const string: Item = { is: "string" };
export const length: Item = { is: "length" };
export const score: Item = { is: "score" };
export const moduleId: Item = { is: "moduleId" };
export const moduleItems: Item = { is: "moduleItems" };
export const bytes = (count: number): Item => ({ is: "bytes", count });
export const repeat = (...items: Layout): Item => ({ is: "repeat", items });

/** The instructions of a program: pairs of a number from here and an argument. From `again` on they take no byte. */
export const instruction = {
  /** Reads the magic and the version. */
  header: 0,
  /** Reads the byte that says what comes: an opcode or a type. */
  next: 1,
  string: 2,
  length: 3,
  /** Argument: how many. */
  bytes: 4,
  score: 5,
  moduleId: 6,
  /** Stays until it has read the item that ends all items. */
  moduleItem: 7,
  /** Argument: where to go on if the count is zero. */
  repeat: 8,
  /** Any byte from here on is one too many. */
  nothing: 9,
  /** Argument: where the repeated items begin. */
  again: 10,
  /** The key is complete, the value begins. */
  keyEnd: 11,
  valueEnd: 12,
  operandsEnd: 13,
  footerEnd: 14,
} as const;

/** Adds the instructions of a layout to the program. */
export function compile(layout: Layout, program: number[]): void {
  for (const item of layout) {
    switch (item.is) {
      case "bytes":
        program.push(instruction.bytes, item.count);
        break;
      case "repeat": {
        const start = program.length;
        program.push(instruction.repeat, 0);
        compile(item.items, program);
        program.push(instruction.again, start + 2);
        program[start + 1] = program.length;
        break;
      }
      case "string":
      case "length":
      case "score":
      case "moduleId":
        program.push(instruction[item.is], 0);
        break;
      case "moduleItems":
        program.push(instruction.moduleItem, 0);
        break;
    }
  }
}
