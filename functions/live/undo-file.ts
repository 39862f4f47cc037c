import { undoFileObject, undoResultObject } from "../../shared/backup/name.ts";
import type { KeyState } from "../../shared/backup/selection.ts";
import {
  parseUndoList,
  parseUndoResult,
  type UndoEntry,
  type UndoList,
  type UndoResult,
  undoListBytes,
} from "../../shared/backup/undo-list.ts";
import { asStatusError, StatusError } from "../../shared/error.ts";
import type { ObjectInfo, Objects } from "../../shared/pipeline/ports.ts";
import { collect, once } from "../../shared/pipeline/stream.ts";
import type { Format } from "../../shared/rdb/header.ts";
import { RunningFile } from "../../shared/rdb/running-file.ts";
import type { LiveTarget } from "./target.ts";

/** Where the undo of an Operation's group goes. */
export interface UndoPlace {
  bucket: string;
  operation: string;
  /** The object of the group's list. */
  list: string;
  /** Of the attempt that writes it. */
  epoch: number;
}

/** The keys of a group that are to be written: `isReplaced` where the target has them. */
export interface Intent {
  key: Uint8Array;
  isReplaced: boolean;
  new: KeyState;
}

/** The list that an earlier attempt left, if one did: it holds. */
export async function existingList({ bucket, list }: UndoPlace, objects: Objects): Promise<UndoList | undefined> {
  const found = await objects.stat(bucket, list);
  return found && (await readList(found, objects));
}

/** What came of the group, once all of it was written. */
export async function resultOf(
  { bucket, list }: Pick<UndoPlace, "bucket" | "list">,
  objects: Objects,
): Promise<UndoResult | undefined> {
  const found = await objects.stat(bucket, undoResultObject(list));
  return found && parseUndoResult(await collect(objects.read(found)), found.object);
}

/** The list that a stored object holds; DATA_LOSS where it is none. */
export async function readList(found: ObjectInfo, objects: Objects): Promise<UndoList> {
  return parseUndoList(await collect(objects.read(found)), found.object);
}

/**
 * Puts down, whole or not at all, what is about to be written, the values that it replaces first. Where another attempt was faster
 * its list is the one that holds.
 */
export async function writeList(
  place: UndoPlace,
  { end, skipped, identical }: Pick<UndoList, "end" | "skipped" | "identical">,
  intents: readonly Intent[],
  target: LiveTarget,
  files: { format: Format; database: number; objects: Objects },
  signal: AbortSignal,
): Promise<UndoList> {
  const { objects } = files;
  const replaced = intents.filter(({ isReplaced }) => isReplaced);
  const old = new Map<Intent, KeyState>();
  const rdb =
    replaced.length === 0 ? undefined : await objects.create(...fileOf(place, replaced, old, target, files), signal);
  const entries: UndoEntry[] = intents.map((intent) => ({ key: intent.key, old: old.get(intent), new: intent.new }));
  const file = rdb && { object: rdb.object, generation: rdb.generation, magic: files.format.magic };
  const list: UndoList = { end, ...(file && { rdb: file }), skipped, identical, entries };
  return (await createOnce(place, place.list, undoListBytes(list), objects, signal)) ?? list;
}

/** What was there already in place of the new object, as a list. */
async function createOnce(
  { bucket, operation }: UndoPlace,
  object: string,
  bytes: Uint8Array,
  objects: Objects,
  signal: AbortSignal,
): Promise<UndoList | undefined> {
  try {
    await objects.create(bucket, object, once(bytes), { operation }, signal);
    return undefined;
  } catch (error) {
    if (asStatusError(error).code !== "ABORTED") throw error;
    const found = await objects.stat(bucket, object);
    if (found === undefined) throw error;
    if (found.metadata.operation !== operation)
      throw new StatusError("ALREADY_EXISTS", `gs://${bucket}/${object} was not written by ${operation}`);
    return await readList(found, objects);
  }
}

/** Arguments for the creation of a group's file. */
function fileOf(
  { bucket, operation, list, epoch }: UndoPlace,
  replaced: readonly Intent[],
  old: Map<Intent, KeyState>,
  target: LiveTarget,
  { format, database }: { format: Format; database: number },
): [string, string, AsyncIterable<Uint8Array>, Record<string, string>] {
  return [bucket, undoFileObject(list, epoch), dumped(replaced, old, target, format, database), { operation }];
}

/** The keys as they are now, as an RDB file; `old` learns the state of each. One that is gone meanwhile is left out. */
async function* dumped(
  replaced: readonly Intent[],
  old: Map<Intent, KeyState>,
  target: LiveTarget,
  format: Format,
  database: number,
): AsyncGenerator<Uint8Array> {
  const file = new RunningFile(format);
  yield file.header();
  let last = -1;
  const keys = replaced.map(({ key }) => key);
  const learn = (index: number, state: KeyState): void => {
    const intent = replaced[index];
    if (intent !== undefined) old.set(intent, state);
  };
  for await (const { index, type, expireTimeMs, bytes } of target.dump(keys, learn)) {
    const key = keys[index];
    if (index !== last && key !== undefined) yield file.key(database, key, type, expireTimeMs);
    last = index;
    yield file.value(bytes);
  }
  yield file.footer();
}
