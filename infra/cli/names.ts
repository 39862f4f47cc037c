import { backupName, instanceIdOf, operationName, parseBackupName } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";

/** `orders`, from `orders` or `instances/orders`. */
export const readInstanceId = (text: string): string => instanceIdOf(text.replace(/^instances\//, ""));

/** `backupCollections/orders/backups/nightly`, from that or from `orders/nightly`. */
export function readBackupName(text: string): string {
  if (text.startsWith("backupCollections/")) {
    parseBackupName(text);
    return text;
  }
  const [instanceId, backupId, ...rest] = text.split("/");
  if (instanceId !== undefined && backupId !== undefined && rest.length === 0) return backupName(instanceId, backupId);
  const shown = JSON.stringify(text.slice(0, 80));
  throw new StatusError("INVALID_ARGUMENT", `malformed backup ${shown}: expected INSTANCE/BACKUP`);
}

/** `operations/backup-3f9a`, from that or from `backup-3f9a`. */
export const readOperationName = (text: string): string => operationName(text.replace(/^operations\//, ""));

/** The last segment of a name. */
export const shortName = (name: string): string => name.slice(name.lastIndexOf("/") + 1);

/** `orders/nightly`, as the verbs take it. */
export function shortBackupName(name: string): string {
  const { instanceId, backupId } = parseBackupName(name);
  return `${instanceId}/${backupId}`;
}
