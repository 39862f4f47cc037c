import type { Magic } from "../../shared/rdb/family.ts";
import { encodeLength, encodeString } from "../../shared/rdb/writer.ts";

/** One value of a type, in the file's bytes, and what a reader should call it. */
export type Sample = { readonly type: number; readonly name: string; readonly value: Uint8Array };

export const cat = (...parts: (Uint8Array | number[])[]): Uint8Array =>
  Buffer.concat(parts.map((part) => Uint8Array.from(part)));

/** A LEN of 64 bits, whatever the number. */
export function wideLength(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(9, 0x81);
  bytes.writeBigUInt64BE(value, 1);
  return bytes;
}

/** "aaaaaaaaaa" as LZF: one literal, and a reference to the byte before of 9. */
export const lzfOfTenAs: Uint8Array = cat([0xc3], [5, 10], [0, 0x61, 0xe0, 0, 0]);

const s = encodeString;
const n = encodeLength;
const zeros = (count: number): Uint8Array => new Uint8Array(count);
const long = s(Buffer.alloc(70_000, 7));
const highest = wideLength(0xffffffffffffffffn);

/** A stream with one node, two groups, pending entries and consumers. */
function stream(version: 1 | 2 | 3): Uint8Array {
  const since2 = version >= 2 ? cat(n(1), n(0), n(2), highest, n(77)) : [];
  const read = version >= 2 ? n(3) : [];
  const active = version >= 3 ? zeros(8) : [];
  const pending = cat(n(2), zeros(16), zeros(8), n(1), zeros(16), zeros(8), n(90));
  const consumers = cat(n(2), s("c1"), zeros(8), active, n(2), zeros(32), s("c2"), zeros(8), active, n(0));
  const group = cat(s("g"), n(1), highest, read, pending, consumers);
  const emptyGroup = cat(s("empty"), n(0), n(0), read, n(0), n(0));
  return cat(n(1), s(zeros(16)), s("listpack"), n(12), n(70_000), highest, since2, n(2), group, emptyGroup);
}

const scores = cat(n(4), s("a"), [3], Buffer.from("1.5"), s("nan"), [253], s("inf"), [254], s("-inf"), [255]);
const moduleIdOfReJson = wideLength(moduleId("ReJSON-RL", 3));
const moduleItems = cat([1], highest, [2, 5], [3], zeros(4), [4], zeros(8), [5], s("text"), [5], lzfOfTenAs, [0]);

const shared: Sample[] = [
  { type: 0, name: "string", value: s("value") },
  { type: 0, name: "string", value: Uint8Array.of(0xc0, 0x80) },
  { type: 0, name: "string", value: Uint8Array.of(0xc1, 0x34, 0x12) },
  { type: 0, name: "string", value: Uint8Array.of(0xc2, 1, 2, 3, 4) },
  { type: 0, name: "string", value: lzfOfTenAs },
  { type: 0, name: "string", value: cat([0x40, 3], Buffer.from("abc")) },
  { type: 0, name: "string", value: cat(wideLength(3n), Buffer.from("abc")) },
  { type: 0, name: "string", value: long },
  { type: 1, name: "list", value: cat(n(3), s(""), s("a"), lzfOfTenAs) },
  { type: 2, name: "set", value: cat(n(0)) },
  { type: 3, name: "zset", value: scores },
  { type: 4, name: "hash", value: cat(n(2), s("f"), s("v"), s("g"), [0xc0, 1]) },
  { type: 5, name: "zset", value: cat(n(2), s("a"), zeros(8), s("b"), zeros(8)) },
  { type: 7, name: "module", value: cat(moduleIdOfReJson, moduleItems) },
  { type: 9, name: "hash", value: s("zipmap") },
  { type: 10, name: "list", value: s("ziplist") },
  { type: 11, name: "set", value: s("intset") },
  { type: 12, name: "zset", value: s("ziplist") },
  { type: 13, name: "hash", value: s("ziplist") },
  { type: 14, name: "list", value: cat(n(2), s("ziplist"), s("ziplist")) },
  { type: 15, name: "stream", value: stream(1) },
  { type: 16, name: "hash", value: s("listpack") },
  { type: 17, name: "zset", value: s("listpack") },
  { type: 18, name: "list", value: cat(n(2), n(1), s("plain"), n(2), s("listpack")) },
  { type: 19, name: "stream", value: stream(2) },
  { type: 20, name: "set", value: s("listpack") },
  { type: 21, name: "stream", value: stream(3) },
];

/** Every type of each family that the reader understands, at least once. */
export const samples: Readonly<Record<Magic, readonly Sample[]>> = {
  REDIS: [
    ...shared,
    { type: 22, name: "hash", value: cat(n(1), n(5), s("f"), s("v")) },
    { type: 23, name: "hash", value: s("listpack") },
    { type: 24, name: "hash", value: cat(zeros(8), n(2), n(0), s("f"), s("v"), n(90), s("g"), s("w")) },
    { type: 25, name: "hash", value: cat(zeros(8), s("listpack")) },
  ],
  VALKEY: [...shared, { type: 22, name: "hash", value: cat(n(2), s("f"), s("v"), zeros(8), s("g"), s("w"), zeros(8)) }],
};

/** Every opcode that may stand between keys, in bytes; functions and AUX fields too. */
export const opcodes: Readonly<Record<Magic, Uint8Array>> = {
  REDIS: common(),
  VALKEY: cat(common(), [243], s(zeros(40)), n(2), n(0), n(100), n(200), n(16383)),
};

function common(): Uint8Array {
  const aux = cat([250], s("used-mem"), [0xc2, 0, 0, 16, 0], [250], s("slot-info"), s("1,2,3"));
  const moduleAux = cat([247], moduleIdOfReJson, [2, 1], moduleItems);
  return cat(aux, [251], n(5), n(1), [244], n(1), n(2), n(3), [245], s("#!lua name=lib"), moduleAux);
}

/** A module type's id, as its name and version make it (module.c, moduleTypeEncodeId). */
export function moduleId(name: string, version: number): bigint {
  const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  let id = 0n;
  for (const character of name) id = (id << 6n) | BigInt(characters.indexOf(character));
  return (id << 10n) | BigInt(version);
}
