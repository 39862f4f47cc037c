import { ttlSeconds } from "../../../shared/backup/duration.ts";
import { assertUnprotected } from "../../../shared/backup/instance.ts";
import { backupIdOf, backupName, collectionName, instanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import type { Ports } from "../../../shared/pipeline/ports.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { confirm, confirmFlag } from "../confirm.ts";
import { readInstanceId } from "../names.ts";
import { assertIdle, registeredIn } from "./idle.ts";

export const deleteInstance = command({
  positionals: { INSTANCE: { help: "its id", read: readInstanceId } },
  flags: {
    "final-backup-id": {
      type: "string",
      value: "ID",
      help: "take a backup of this id first; the instance goes only once that is ACTIVE",
      read: backupIdOf,
    },
    "final-backup-ttl": {
      type: "string",
      value: "TTL",
      help: "how long the final backup is kept, 1d to 36500d; 100 years where absent",
      read(text) {
        ttlSeconds(text);
        return text;
      },
    },
    ...confirmFlag,
    ...asyncFlag,
  },
  example: "valkeep instances delete orders --final-backup-id=last --confirm=delete",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const { "final-backup-id": backupId, "final-backup-ttl": ttl } = flags;
    if (ttl !== undefined && backupId === undefined)
      throw new StatusError("INVALID_ARGUMENT", "--final-backup-ttl is of use only with --final-backup-id");
    const { ports } = await session.connect();
    const name = instanceName(id);
    if ((await ports.store.get(name)) === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    const first = backupId === undefined ? "" : `once ${backupName(id, backupId)} is ACTIVE, `;
    await confirm(flags.confirm, `${first}${name} and its schedule go; ${collectionName(id)} stays.`, session);
    if (backupId === undefined) return await conclude(await forget(id, ports), flags.async, ports, session);
    const asked = { instance: id, backupId, backupType: "FINAL", deleteInstance: true } as const;
    const operation = await submit(ports, "backup.v1.requested", { ...asked, ...(ttl !== undefined && { ttl }) });
    return await conclude(operation, flags.async, ports, session, backupMade);
  },
});

/** Removes the instance and has its schedule follow. */
async function forget(id: string, ports: Ports): Promise<string> {
  return await submit(ports, "instance.v1.changed", { instance: id }, async (change) => {
    const instance = await registeredIn(change, id);
    assertUnprotected(instance);
    await assertIdle(change, instance);
    change.remove(instance.name);
  });
}
