import { StatusError } from "../error.ts";
import type { Backup, BackupCollection, BackupFile, Consistency, DeferredBy } from "./backup.ts";
import { day, later, ttlBounds } from "./duration.ts";
import { inReview } from "./review.ts";
import { gapIn } from "./slots.ts";

/** What an event makes of a backup. Each refuses with FAILED_PRECONDITION, and says why, where the state does not allow it. */

/** A file has arrived; the set is complete once there is one for each shard. */
export function withFile(backup: Backup, file: BackupFile): Backup {
  if (backup.state !== "CREATING") throw refused(backup, `it is ${backup.state}, files are added while it is CREATING`);
  if (backup.backupFiles.some(({ fileName }) => fileName === file.fileName)) return backup;
  const backupFiles = [...backup.backupFiles, file].sort(
    (a, b) => Number.parseInt(a.fileName, 10) - Number.parseInt(b.fileName, 10),
  );
  return { ...backup, backupFiles, totalSizeBytes: backupFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

export const isComplete = (backup: Backup): boolean =>
  backup.shardCount > 0 && backup.backupFiles.length === backup.shardCount;

/**
 * Its manifest is in the bucket: from here on it counts. The files of a cluster must cover every slot once: then none of its keys is
 * missing and none is there twice.
 */
export function sealed({ shards: _, ...backup }: Backup): Backup {
  if (backup.state !== "CREATING") throw refused(backup, `it is ${backup.state}`);
  if (!isComplete(backup))
    throw refused(backup, `${backup.backupFiles.length} of ${backup.shardCount} files are there`);
  const slots = backup.backupFiles.flatMap((file) => file.slots ?? []);
  const gap = slots.length === 0 ? undefined : gapIn(slots);
  if (gap !== undefined) throw refused(backup, `its files do not make a whole cluster: ${gap}`);
  return inReview({
    ...backup,
    state: "ACTIVE",
    consistency: consistencyOf(backup.backupFiles),
    verification: "CHECKED",
  });
}

/** What its files together show. */
function consistencyOf(files: readonly BackupFile[]): Consistency {
  if (files.some(({ consistency }) => consistency === "FUZZY")) return "FUZZY";
  return files.length > 1 ? "PER_SHARD" : "POINT_IN_TIME";
}

/** A tombstone, to be undone until its `purgeTime`. `inUseBy`: the live Operations that read it. */
export function tombstoned(backup: Backup, now: string, graceSeconds: number, inUseBy: string[]): Backup {
  if (backup.state !== "ACTIVE") throw refused(backup, `it is ${backup.state}`);
  if (backup.hold !== undefined) throw refused(backup, `it is held: ${backup.hold.reason}`);
  if (inUseBy.length > 0) throw refused(backup, `it is in use by ${inUseBy.join(", ")}`);
  return inReview({ ...backup, state: "DELETING", purgeTime: later(now, graceSeconds) });
}

/** The tombstone is gone. */
export function undeleted(backup: Backup, now: string): Backup {
  if (backup.state !== "DELETING") throw refused(backup, `it is ${backup.state}, nothing is to be undone`);
  if (backup.purgeStartTime !== undefined) throw refused(backup, `it is being erased since ${backup.purgeStartTime}`);
  const { purgeTime: _, deferredUntil: _until, deferredBy: _by, ...kept } = backup;
  return livingOn({ ...kept, state: "ACTIVE" }, now);
}

/** With a day left to live at least: what comes back must not be gone with the next sweep. */
export function livingOn(backup: Backup, now: string): Backup {
  const soonest = later(now, day);
  return inReview(backup.expireTime < soonest ? { ...backup, expireTime: soonest } : backup);
}

/** Erasing begins; from here on nothing brings it back. */
export function purging(backup: Backup, now: string, inUseBy: string[]): Backup {
  if (backup.state !== "DELETING" || backup.purgeTime === undefined)
    throw refused(backup, `it is ${backup.state}, not DELETING`);
  if (backup.purgeStartTime !== undefined) return backup;
  if (backup.hold !== undefined) throw refused(backup, `it is held: ${backup.hold.reason}`);
  if (backup.purgeTime > now) throw refused(backup, `its grace lasts until ${backup.purgeTime}`);
  if (inUseBy.length > 0) throw refused(backup, `it is in use by ${inUseBy.join(", ")}`);
  const { deferredUntil: _until, deferredBy: _by, ...free } = backup;
  return inReview({ ...free, purgeStartTime: now });
}

/** Erasing has to wait for the bucket. Unless it has begun, the backup can be undeleted meanwhile. */
export function deferred(backup: Backup, until: string, by: DeferredBy): Backup {
  if (backup.state !== "DELETING") throw refused(backup, `it is ${backup.state}, not DELETING`);
  return inReview({ ...backup, deferredUntil: until, deferredBy: by });
}

/** Held: neither a sweep nor a person takes it. Asked again by the same Operation, nothing changes. */
export function held(backup: Backup, reason: string, operation: string, now: string): Backup {
  if (backup.state === "CREATING") throw refused(backup, "it is still being taken");
  if (backup.purgeStartTime !== undefined) throw refused(backup, `it is being erased since ${backup.purgeStartTime}`);
  if (backup.hold?.operation === operation) return backup;
  if (backup.hold !== undefined) throw refused(backup, `it is held already: ${backup.hold.reason}`);
  return inReview({ ...backup, hold: { reason, createTime: now, operation } });
}

/** The hold is being taken away by this Operation, which from here on stands in it. */
export function releasing(backup: Backup, operation: string): Backup {
  if (backup.hold === undefined) throw refused(backup, "it is not held");
  return { ...backup, hold: { ...backup.hold, operation } };
}

export function released(backup: Backup): Backup {
  if (backup.hold === undefined) throw refused(backup, "it is not held");
  const { hold: _, ...free } = backup;
  return inReview(free);
}

/** Lives longer, or shorter: from `now` on, and no longer than 100 years after it was taken. */
export function expiringAt(backup: Backup, expireTime: string, now: string): Backup {
  if (backup.state !== "ACTIVE") throw refused(backup, `it is ${backup.state}`);
  const latest = later(backup.createTime, ttlBounds.most);
  if (expireTime < now) throw refused(backup, `${expireTime} is in the past; delete it instead`);
  if (expireTime > latest)
    throw refused(backup, `${expireTime} is more than 100 years after it was taken; expected at most ${latest}`);
  return inReview({ ...backup, expireTime });
}

/** Refuses unless the backup can be read: restored, exported. */
export function assertReadable(backup: Backup): void {
  if (backup.state === "ACTIVE") return;
  if (backup.state === "CREATING") throw refused(backup, "it is still being taken");
  const isOver = backup.purgeStartTime !== undefined;
  throw refused(backup, isOver ? "it is being erased" : "it is being deleted; undelete it first");
}

/** The collection without the mark of its deletion: it is in use again. */
export function unmarked({ deleteTime: _, ...collection }: BackupCollection): BackupCollection {
  return collection;
}

/** The collection with one more, or one fewer, backup. */
export function counted(collection: BackupCollection, backup: Backup, sign: 1 | -1): BackupCollection {
  return {
    ...collection,
    totalBackupCount: collection.totalBackupCount + sign,
    totalBackupSizeBytes: collection.totalBackupSizeBytes + sign * backup.totalSizeBytes,
    ...(sign === 1 && { lastBackupTime: backup.createTime }),
  };
}

const refused = (backup: Backup, reason: string): StatusError =>
  new StatusError("FAILED_PRECONDITION", `${backup.name}: ${reason}`);
