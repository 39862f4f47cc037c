import type { BackupCollection, Instance } from "../../../shared/backup/backup.ts";
import { collectionName, parseInstanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import type { Change } from "../../../shared/pipeline/change.ts";
import { lockedBy } from "../../../shared/pipeline/held.ts";

/** FAILED_PRECONDITION while a live Operation writes into the instance or takes a backup of it. */
export async function assertIdle(change: Change, instance: Instance): Promise<void> {
  const collection = await change.read<BackupCollection>(collectionName(parseInstanceName(instance.name)));
  const writer = await lockedBy(instance.restoring, change);
  const reader = await lockedBy(collection?.creating, change);
  const [doing, operation] = writer !== undefined ? ["restored", writer] : ["backed up", reader];
  if (operation === undefined) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${instance.name} is being ${doing} by ${operation}: wait for it or cancel it`,
  );
}
