import type { Backup, BackupCollection } from "../shared/backup/backup.ts";
import { defaultGrace, parseDuration } from "../shared/backup/duration.ts";
import { manifestObject, parseBackupName } from "../shared/backup/name.ts";
import { counted, purging, tombstoned, undeleted } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { livePins } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Objects } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

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
    change.put(backup, undeleted(await existing(change, backup), change.now));
    change.say("backup.v1.undeleted", { backup });
    await change.end({ response: { backup } });
  },
});

/**
 * Erases a backup whose grace is over: first the commit that nothing brings back, then the manifest, the files, the
 * document. With `operation`, only what that failed Operation left.
 */
export const erasure = step<"erasure.v1.requested">({
  on: "erasure.v1.requested",

  async admit({ data: { backup, operation } }, change) {
    if (operation !== undefined) return;
    const found = await change.read<Backup>(backup);
    if (found === undefined) return; // erased by another Operation
    change.put(backup, purging(found, change.now, await livePins(found, change)));
  },

  async run({ data: { backup, operation } }, { store, objects, settings }, signal) {
    const doc = await store.get<Backup>(backup);
    const maker = operation ?? (doc?.data.purgeStartTime === undefined ? undefined : doc.data.operation);
    if (maker !== undefined) await removeAll(objects, settings.vaultBucket, backup, maker, signal);
  },

  async commit({ data: { backup, operation } }, _, change) {
    if (operation === undefined) await forget(change, backup);
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
): Promise<void> {
  const isMeant = (found: ObjectInfo | undefined): found is ObjectInfo => found?.metadata.operation === maker;
  const manifest = await objects.stat(bucket, manifestObject(backup));
  if (isMeant(manifest)) await objects.remove(manifest);
  for await (const found of objects.list(bucket, `${backup}/`)) {
    signal.throwIfAborted();
    if (isMeant(found)) await objects.remove(found);
  }
}

async function forget(change: Change, backup: string): Promise<void> {
  const found = await change.read<Backup>(backup);
  if (found?.purgeStartTime === undefined) return;
  const { collection } = parseBackupName(backup);
  const holder = await change.read<BackupCollection>(collection);
  change.remove(backup);
  if (holder !== undefined) change.put(collection, counted(holder, found, -1));
  change.say("backup.v1.deleted", { backup });
}

async function existing(change: Change, backup: string): Promise<Backup> {
  const found = await change.read<Backup>(backup);
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${backup}`);
  return found;
}
