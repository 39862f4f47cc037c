import { StatusError } from "../error.ts";
import type { Backup } from "./backup.ts";
import { later } from "./duration.ts";
import { parseBackupName } from "./name.ts";

/**
 * A whole, checked copy of a backup in a bucket of the operator's; it may outlive its Backup.
 * `backupCollections/{instanceId}/backups/{backupId}/copies/{bucket}`
 */
export interface BackupCopy {
  name: string;
  backup: string;
  /** `backupCollections/{instanceId}` */
  collection: string;
  gcsBucket: string;
  /** Of the bucket. */
  location: string;
  /** The Operation that made the backup: every object of the copy carries it. */
  operation: string;
  backupCreateTime: string;
  createTime: string;
  /** Absent: it is kept for ever. */
  expireTime?: string;
  totalSizeBytes: number;
  /** In the order in which they were copied: the manifest last. */
  objects: CopiedObject[];
  /** Erasing began; from here on nothing brings it back. */
  retireStartTime?: string;
  /** Erasing was tried and a hold or the bucket's retention policy kept objects: it is tried again then. */
  deferredUntil?: string;
}

export interface CopiedObject {
  object: string;
  generation: string;
}

/** The document of a backup's copy in this bucket. */
export const copyName = (backup: string, gcsBucket: string): string => `${backup}/copies/${gcsBucket}`;

/** A copy as it is recorded. The same one, recorded `before`, keeps its beginning, and of both expiries the later one. */
export function recorded(
  backup: Backup,
  made: { gcsBucket: string; location: string; objects: CopiedObject[]; retentionSeconds: number | undefined },
  found: BackupCopy | undefined,
  now: string,
): BackupCopy {
  // An id is used again once its backup is gone: what is on record may be the copy of another one.
  const before = found?.operation === backup.operation ? found : undefined;
  const { retentionSeconds, ...place } = made;
  const asked = retentionSeconds === undefined ? undefined : later(now, retentionSeconds);
  const expireTime = before === undefined ? asked : laterOf(before.expireTime, asked);
  return {
    name: copyName(backup.name, made.gcsBucket),
    backup: backup.name,
    collection: parseBackupName(backup.name).collection,
    ...place,
    operation: backup.operation,
    backupCreateTime: backup.createTime,
    createTime: before?.createTime ?? now,
    ...(expireTime !== undefined && { expireTime }),
    totalSizeBytes: backup.totalSizeBytes,
  };
}

/** Erasing begins. Refuses a copy whose time has not come. */
export function retiring(copy: BackupCopy, now: string): BackupCopy {
  if (copy.retireStartTime !== undefined) return copy;
  if (copy.expireTime === undefined || copy.expireTime > now)
    throw refused(copy, `it is kept ${copy.expireTime === undefined ? "for ever" : `until ${copy.expireTime}`}`);
  return { ...copy, retireStartTime: now };
}

/** Refuses to write to where an earlier copy is being erased. */
export function assertNotRetiring(copy: BackupCopy | undefined): void {
  if (copy?.retireStartTime === undefined) return;
  throw refused(copy, `it is being erased since ${copy.retireStartTime}; export again once it is gone`);
}

/** No time is the latest of all. */
function laterOf(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return undefined;
  return a > b ? a : b;
}

const refused = ({ backup, gcsBucket }: BackupCopy, reason: string): StatusError =>
  new StatusError("FAILED_PRECONDITION", `the copy of ${backup} in gs://${gcsBucket}: ${reason}`);
