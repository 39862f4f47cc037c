import type { Backup, BackupCollection, Instance } from "../backup/backup.ts";
import { exportAsked, exportPeriod } from "../backup/export-policy.ts";
import { operationName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import type { Change } from "./change.ts";
import { operationIdFor } from "./identity.ts";

/**
 * Asks, in the commit that makes a backup ACTIVE, for the export that its instance's policy wants. It is an Operation of
 * its own: the backup does not hang on it. Answers the collection, which remembers the export, so that of a week or month
 * one backup goes; only where its export has failed does the next one go in its place.
 */
export async function exportByPolicy(
  change: Change,
  backup: Backup,
  collection: BackupCollection,
): Promise<BackupCollection> {
  if (backup.backupType !== "AUTOMATED") return collection;
  const policy = (await change.read<Instance>(backup.instance))?.exportPolicy;
  if (policy === undefined) return collection;
  const { gcsBucket } = policy;
  const period = exportPeriod(policy, backup.createTime);
  const last = collection.lastExport;
  if (last?.period === period && last.gcsBucket === gcsBucket) {
    const before = await change.read<Operation>(last.operation);
    if (before?.error === undefined) return collection;
  }
  const identity = `${change.operation.name} ${gcsBucket}`;
  await change.request("export.v1.requested", exportAsked(policy, backup.name), identity);
  const operation = operationName(operationIdFor("export.v1.requested", identity));
  return { ...collection, lastExport: { period, gcsBucket, operation } };
}
