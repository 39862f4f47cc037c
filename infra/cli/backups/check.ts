import { isDeepStrictEqual } from "node:util";
import type { Backup, BackupFile } from "../../../shared/backup/backup.ts";
import { StatusError } from "../../../shared/error.ts";
import type { ObjectInfo, Objects } from "../../../shared/pipeline/ports.ts";
import { assertManifest, storedFile } from "../../../shared/pipeline/vault.ts";
import { check as checkRdb } from "../../../shared/rdb/check.ts";
import { factsOf } from "../../../shared/rdb/facts.ts";
import { command } from "../command.ts";
import { metered } from "../meter.ts";
import { readBackupName } from "../names.ts";
import { described, sizeText } from "../plain.ts";
import type { Session } from "../session.ts";

export const check = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {},
  example: "valkeep backups check orders/before-release",

  async run({ positionals: { "INSTANCE/BACKUP": name } }, session) {
    const { ports } = await session.connect();
    const backup = (await ports.store.get<Backup>(name))?.data;
    if (backup === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    if (backup.state === "CREATING" || backup.purgeStartTime !== undefined) {
      const reason = backup.state === "CREATING" ? "it is still being taken" : "it is being erased";
      throw new StatusError("FAILED_PRECONDITION", `${name} cannot be checked: ${reason}`);
    }
    await assertManifest(backup, ports.objects, session.signal);
    for (const file of backup.backupFiles) await checkFile(backup, file, ports.objects, session);
    const { totalSizeBytes, backupFiles } = backup;
    const result = { backup: name, result: "ok", fileCount: backupFiles.length, totalSizeBytes };
    session.print(result, described(result));
  },
});

async function checkFile(backup: Backup, file: BackupFile, objects: Objects, session: Session): Promise<void> {
  const { fileName } = file;
  const stored = await storedFile(backup, file, objects);
  session.say(`reading ${fileName}, ${sizeText(stored.sizeBytes)}`);
  const found = factsOf(await readWhole(stored, objects, session));
  for (const [fact, value] of Object.entries(found))
    if (!isDeepStrictEqual(file[fact as keyof typeof found], value))
      throw new StatusError(
        "DATA_LOSS",
        `gs://${stored.bucket}/${stored.object}: its ${fact} is not what was recorded`,
      );
}

/** Every byte, its checksums compared; an error names the object. */
async function readWhole(stored: ObjectInfo, objects: Objects, session: Session) {
  try {
    return await checkRdb(metered(objects.read(stored, {}, session.signal), stored.sizeBytes, session));
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const { code, message, offset } = error;
    const options = { cause: error, ...(offset !== undefined && { offset }) };
    throw new StatusError(code, `gs://${stored.bucket}/${stored.object}: ${message}`, options);
  }
}
