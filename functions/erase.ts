import type { Backup, BackupCollection } from "../shared/backup/backup.ts";
import { defaultGrace, later, parseDuration } from "../shared/backup/duration.ts";
import { manifestObject, parseBackupName } from "../shared/backup/name.ts";
import { counted, purging, tombstoned, undeleted, unmarked } from "../shared/backup/transition.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { existing } from "../shared/pipeline/existing.ts";
import { livePins, lockedBy } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Objects } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Whose objects were removed, and how many of them could not be. */
interface Removal {
  maker: string | undefined;
  blocked: number;
}

/** When removing what a hold or a retention policy keeps is tried again, in seconds. */
const blockedSeconds = 86_400;

/** Puts the tombstone: DELETING, to be undone until its `purgeTime`. */
export const deletion = step<"deletion.v1.requested">({
  on: "deletion.v1.requested",
  async commit({ data: { backup, grace } }, _, change) {
    const found = await existing(change, backup);
    const seconds = grace === undefined ? defaultGrace : parseDuration(grace);
    const dead = tombstoned(found, change.now, seconds, await livePins(found, change));
    const purgeTime = dead.purgeTime ?? change.now;
    change.put(backup, dead);
    change.say("backup.v1.expired", { backup, purgeTime });
    await change.end({ response: { backup, purgeTime } });
  },
});

/** Takes the tombstone away. */
export const undelete = step<"undelete.v1.requested">({
  on: "undelete.v1.requested",
  async commit({ data: { backup } }, _, change) {
    await keepCollection(change, parseBackupName(backup).collection);
    change.put(backup, undeleted(await existing(change, backup), change.now));
    change.say("backup.v1.undeleted", { backup });
    await change.end({ response: { backup } });
  },
});

/** A collection of which something is undeleted is deleted no more; not while its deletion is still under way. */
async function keepCollection(change: Change, collection: string): Promise<void> {
  const holder = await change.read<BackupCollection>(collection);
  const deleter = await lockedBy(holder?.deleting, change);
  if (deleter !== undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${collection} is being deleted by ${deleter}: undelete once that is over`,
    );
  if (holder?.deleteTime !== undefined) change.put(collection, unmarked(holder));
}

/**
 * Erases a backup whose grace is over: first the commit that nothing brings back, then the manifest, the files, the
 * document. With `operation`, only what that failed Operation left.
 */
export const erasure = step<"erasure.v1.requested", Removal>({
  on: "erasure.v1.requested",
  goesOn: true,

  async admit({ data: { backup, operation } }, change) {
    if (operation !== undefined) return;
    const found = await change.read<Backup>(backup);
    if (found === undefined) return; // erased by another Operation
    change.put(backup, purging(found, change.now, await livePins(found, change)));
  },

  async run({ data: { backup, operation } }, { store, objects, settings }, signal) {
    const doc = await store.get<Backup>(backup);
    const maker = operation ?? (doc?.data.purgeStartTime === undefined ? undefined : doc.data.operation);
    if (maker === undefined) return { maker, blocked: 0 };
    return { maker, blocked: await removeAll(objects, settings.vaultBucket, backup, maker, signal) };
  },

  async commit({ data: { backup, operation } }, { maker, blocked }, change) {
    if (blocked > 0) {
      // A backup is asked for again by the next sweep; nobody else knows of what a failed one left.
      if (operation !== undefined) {
        const identity = `${change.operation.name} again`;
        await change.request(
          "erasure.v1.requested",
          { backup, operation },
          identity,
          later(change.now, blockedSeconds),
        );
      }
      const message = `${blocked} objects of ${backup} are kept by a hold or a retention policy; they are tried again`;
      return await change.end({ error: { code: "FAILED_PRECONDITION", message } });
    }
    if (operation === undefined) await forget(change, backup, maker);
    await change.end({ response: { backup } });
  },
});

/**
 * Removes what one Operation wrote under a backup's name, and nothing else: the name may be in use again. The manifest
 * goes first: without it, what is left counts no more.
 */
async function removeAll(
  objects: Objects,
  bucket: string,
  backup: string,
  maker: string,
  signal: AbortSignal,
): Promise<number> {
  let blocked = 0;
  const remove = async (found: ObjectInfo): Promise<void> => {
    try {
      await objects.remove(found);
    } catch (error) {
      if (asStatusError(error).code !== "FAILED_PRECONDITION") throw error;
      blocked++;
    }
  };
  const isMeant = (found: ObjectInfo | undefined): found is ObjectInfo => found?.metadata.operation === maker;
  const manifest = await objects.stat(bucket, manifestObject(backup));
  if (isMeant(manifest)) await remove(manifest);
  if (blocked > 0) return blocked; // while the manifest stands, what it names stays
  for await (const found of objects.list(bucket, `${backup}/`)) {
    signal.throwIfAborted();
    if (isMeant(found)) await remove(found);
  }
  return blocked;
}

async function forget(change: Change, backup: string, maker: string | undefined): Promise<void> {
  const found = await change.read<Backup>(backup);
  if (found?.purgeStartTime === undefined || found.operation !== maker) return;
  const { collection } = parseBackupName(backup);
  const holder = await change.read<BackupCollection>(collection);
  change.remove(backup);
  if (holder !== undefined) discount(change, counted(holder, found, -1));
  change.say("backup.v1.deleted", { backup });
}

/** One backup fewer; with the last one a collection that was deleted goes. */
function discount(change: Change, collection: BackupCollection): void {
  const isOver = collection.deleteTime !== undefined && collection.totalBackupCount <= 0;
  if (isOver) {
    change.remove(collection.name);
    change.say("collection.v1.deleted", { collection: collection.name });
  } else change.put(collection.name, collection);
}
