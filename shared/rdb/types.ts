import type { Magic } from "./family.ts";
import { bytes, type Item, type Layout, length, moduleId, moduleItems, repeat, score, string } from "./layout.ts";

/** What Valkey calls a value's type in `TYPE key`. */
export type TypeName = "string" | "list" | "set" | "zset" | "hash" | "stream" | "module";

/** One way in which a value lies in the file. */
export type ValueType = {
  readonly name: TypeName;
  readonly layout: Layout;
  /** The lowest RDB version of a server that reads it. */
  readonly minimumRdbVersion: number;
};

const type = (name: TypeName, minimumRdbVersion: number, ...layout: Layout): ValueType => ({
  name,
  layout,
  minimumRdbVersion,
});

/** The layouts of streams, which grew by version (rdb.c, rdbSaveObject, OBJ_STREAM). */
function stream(version: 1 | 2 | 3): Layout {
  const sinceSecond: Layout = version >= 2 ? [length, length, length, length, length] : [];
  const entriesRead: Layout = version >= 2 ? [length] : [];
  const activeTime: Layout = version >= 3 ? [bytes(8)] : [];
  const pending: Item = repeat(bytes(16), bytes(8), length);
  const consumers: Item = repeat(string, bytes(8), ...activeTime, repeat(bytes(16)));
  const groups: Item = repeat(string, length, length, ...entriesRead, pending, consumers);
  return [repeat(string, string), length, length, length, ...sinceSecond, groups];
}

const shared: Readonly<Record<number, ValueType>> = {
  0: type("string", 1, string),
  1: type("list", 1, repeat(string)),
  2: type("set", 1, repeat(string)),
  3: type("zset", 1, repeat(string, score)),
  4: type("hash", 1, repeat(string, string)),
  // Binary scores came with version 8, but every server that knows RESTORE's versions at all reads them.
  5: type("zset", 1, repeat(string, bytes(8))),
  7: type("module", 8, moduleId, moduleItems),
  9: type("hash", 2, string),
  10: type("list", 2, string),
  11: type("set", 2, string),
  12: type("zset", 2, string),
  13: type("hash", 4, string),
  14: type("list", 7, repeat(string)),
  15: type("stream", 9, ...stream(1)),
  16: type("hash", 10, string),
  17: type("zset", 10, string),
  18: type("list", 10, repeat(length, string)),
  19: type("stream", 10, ...stream(2)),
  20: type("set", 11, string),
  21: type("stream", 11, ...stream(3)),
};

/** Every type that is understood, by family: 22 and above differ between them. */
export const valueTypes: Readonly<Record<Magic, Readonly<Record<number, ValueType>>>> = {
  REDIS: {
    ...shared,
    22: type("hash", 12, repeat(length, string, string)),
    23: type("hash", 12, string),
    24: type("hash", 12, bytes(8), repeat(length, string, string)),
    25: type("hash", 12, bytes(8), string),
  },
  VALKEY: { ...shared, 22: type("hash", 80, repeat(string, string, bytes(8))) },
};

/** Types that are known and refused, with the reason. */
export const refusedTypes: Readonly<Record<number, string>> = {
  6: "a module value from before module values could be skipped",
};
