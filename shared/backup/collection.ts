import type { Backup, BackupCollection } from "./backup.ts";
import { collectionName, parseInstanceName } from "./name.ts";

/** The collection of an instance's backups before there is one. */
export function emptyCollection(
  { instance, instanceUid, location }: Pick<BackupCollection, "instance" | "instanceUid" | "location">,
  createTime: string,
): BackupCollection {
  return {
    name: collectionName(parseInstanceName(instance)),
    instance,
    instanceUid,
    location,
    createTime,
    totalBackupCount: 0,
    totalBackupSizeBytes: 0,
  };
}

/** What a collection's backups come to. */
export type Totals = Pick<BackupCollection, "totalBackupCount" | "totalBackupSizeBytes" | "lastBackupTime">;

/** The totals with one more backup; one that is still being taken does not count. */
export function added(totals: Totals, { state, totalSizeBytes, createTime }: Backup): Totals {
  if (state === "CREATING") return totals;
  const { lastBackupTime = "" } = totals;
  return {
    totalBackupCount: totals.totalBackupCount + 1,
    totalBackupSizeBytes: totals.totalBackupSizeBytes + totalSizeBytes,
    lastBackupTime: createTime > lastBackupTime ? createTime : lastBackupTime,
  };
}
