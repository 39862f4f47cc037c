import { z } from "zod";
import { StatusError } from "../error.ts";
import type { KeyState, Merged } from "./selection.ts";

const state = z.strictObject({ digest: z.string().regex(/^[0-9a-f]{64}$/), expireTimeMs: z.number() });
const generation = z.string().regex(/^\d{1,20}$/);
const undoList = z.strictObject({
  end: z.strictObject({ file: z.int().min(0), offset: z.int().min(0), database: z.int().min(0) }),
  rdb: z.strictObject({ object: z.string(), generation, magic: z.enum(["REDIS", "VALKEY"]) }).optional(),
  skipped: z.int().min(0),
  identical: z.int().min(0),
  entries: z.array(z.strictObject({ key: z.base64(), old: state.optional(), new: state })),
});
const merged = z.strictObject({
  created: z.int().min(0),
  replaced: z.int().min(0),
  identical: z.int().min(0),
  skipped: z.int().min(0),
  changed: z.int().min(0),
  expired: z.int().min(0),
});
const undoResult = z.strictObject({ merged, written: z.array(state.nullable()) });
const pattern = z.strictObject({ keys: z.string() });

/** One key that a restore is about to write. */
export interface UndoEntry {
  key: Uint8Array;
  /** As it was; `undefined`: it was not there. */
  old: KeyState | undefined;
  /** As it will be. */
  new: KeyState;
}

/**
 * All that a restore of single keys writes in one go, put down in the vault before it does: what was there before tells, at a later
 * attempt too, what we wrote ourselves, and lets an undo find it. It holds key names, so nothing of it goes anywhere else.
 */
export interface UndoList {
  /** Where the group ends. */
  end: z.infer<typeof undoList>["end"];
  /** The file that holds the keys which were there; none where all are new. */
  rdb?: { object: string; generation: string; magic: "REDIS" | "VALKEY" } | undefined;
  /** Keys of the group that are not written. */
  skipped: number;
  identical: number;
  entries: UndoEntry[];
}

/** The list as it is stored. */
export function undoListBytes({ entries, ...list }: UndoList): Uint8Array {
  const plain = entries.map(({ key, ...states }) => ({ key: Buffer.from(key).toString("base64"), ...states }));
  return Buffer.from(JSON.stringify({ ...list, entries: plain }));
}

/** DATA_LOSS names the object, and nothing of what it holds. */
export function parseUndoList(bytes: Uint8Array, object: string): UndoList {
  const { entries, ...list } = parsed(undoList, bytes, object);
  return {
    ...list,
    entries: entries.map(({ key, old, new: wanted }) => ({ key: Buffer.from(key, "base64"), old, new: wanted })),
  };
}

/** What came of a group. */
export interface UndoResult {
  merged: Merged;
  /** For each entry of the list: the key as the target has had it from then on; `null` where somebody else had it first. */
  written: (KeyState | null)[];
}

/** The result as it is stored. */
export const undoResultBytes = (result: UndoResult): Uint8Array => Buffer.from(JSON.stringify(result));

/** DATA_LOSS names the object. */
export const parseUndoResult = (bytes: Uint8Array, object: string): UndoResult => parsed(undoResult, bytes, object);

/** The pattern that a selection's object holds: `{"keys":"user:42:*"}`. */
export const parsePattern = (bytes: Uint8Array, object: string): string => parsed(pattern, bytes, object).keys;

function parsed<T>(schema: z.ZodType<T>, bytes: Uint8Array, object: string): T {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    json = undefined; // the parser's message repeats what it found
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const field = result.error.issues[0]?.path[0];
  throw new StatusError(
    "DATA_LOSS",
    `${object} is not as it is written${field === undefined ? "" : `: ${String(field)}`}`,
  );
}
