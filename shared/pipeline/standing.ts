import type { Backup } from "../backup/backup.ts";
import { later, timeOf } from "../backup/duration.ts";
import { isOfSelection, isOperationName, manifestObject, parseObjectName } from "../backup/name.ts";
import { undoKept } from "../backup/selection.ts";
import { isGoingOn } from "./held.ts";
import type { ObjectInfo, Ports } from "./ports.ts";

/**
 * What an object in the vault is to the catalogue. LISTED: of a backup that has a document, or on its way to be. UNLISTED: a manifest
 * stands for it and no document: what was lost is rebuilt, never erased. ORPHAN: of no backup, and nobody works on it; or a pattern or
 * an undo of a restore of single keys whose time is over.
 * FOREIGN: not of our names, or without our marks.
 */
export type Standing = "LISTED" | "UNLISTED" | "ORPHAN" | "FOREIGN";

/** Tells the standing of objects, cheapest where they come in the order of their names. A manifest is never an orphan. */
export function createStandings({
  store,
  objects,
  clock,
}: Pick<Ports, "store" | "objects" | "clock">): (found: ObjectInfo) => Promise<Standing> {
  let last: { name: string; backup: Backup | undefined } | undefined;

  async function documentOf(name: string): Promise<Backup | undefined> {
    if (last?.name !== name) last = { name, backup: (await store.get<Backup>(name))?.data };
    return last.backup;
  }

  async function ofSelection({ createTime, metadata }: ObjectInfo): Promise<Standing> {
    const { operation, selection } = metadata;
    if (selection === undefined && (operation === undefined || !isOperationName(operation))) return "FOREIGN";
    if (later(createTime, undoKept) > timeOf(clock.now())) return "LISTED";
    return operation !== undefined && (await isGoingOn(operation, store)) ? "LISTED" : "ORPHAN";
  }

  return async (found) => {
    if (isOfSelection(found.object)) return await ofSelection(found);
    const place = parseObjectName(found.object);
    const { operation } = found.metadata;
    if (place === undefined || operation === undefined || !isOperationName(operation)) return "FOREIGN";
    const backup = await documentOf(place.backup);
    if (backup?.operation === operation || (await isGoingOn(operation, store))) return "LISTED";
    if (place.shard === undefined) return backup === undefined ? "UNLISTED" : "LISTED";
    const manifest = await objects.stat(found.bucket, manifestObject(place.backup));
    const isClaimed = manifest !== undefined && (backup === undefined || manifest.metadata.operation === operation);
    return isClaimed ? "UNLISTED" : "ORPHAN";
  };
}
