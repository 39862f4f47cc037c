import type { BackupCollection, Instance } from "../../../shared/backup/backup.ts";
import { collectionName, instanceName, parseInstanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import type { Change } from "../../../shared/pipeline/change.ts";
import { lockedBy } from "../../../shared/pipeline/held.ts";

/** The registered instance; NOT_FOUND where there is none. */
export async function registeredIn(change: Change, instanceId: string): Promise<Instance> {
  const instance = await change.read<Instance>(instanceName(instanceId));
  if (instance !== undefined) return instance;
  throw notRegistered(instanceId);
}

/** NOT_FOUND, with the way to what is there. */
export function notRegistered(instanceId: string): StatusError {
  const advice = "valkeep instances list shows what is";
  return new StatusError("NOT_FOUND", `${instanceName(instanceId)} is not registered; ${advice}`);
}

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
