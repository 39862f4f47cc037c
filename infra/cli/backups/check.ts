import { isDeepStrictEqual } from "node:util";
import type { Backup } from "../../../shared/backup/backup.ts";
import { type StoredShard, storedShards } from "../../../shared/backup/stored-object.ts";
import { StatusError } from "../../../shared/error.ts";
import type { ObjectInfo, Objects } from "../../../shared/pipeline/ports.ts";
import { assertManifest, readIndex, storedAs } from "../../../shared/pipeline/vault.ts";
import type { RdbIndex } from "../../../shared/rdb/border.ts";
import { checked } from "../../../shared/rdb/check.ts";
import { factsOf } from "../../../shared/rdb/facts.ts";
import type { RdbSummary } from "../../../shared/rdb/summary.ts";
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
    for (const shard of storedShards(backup)) await checkShard(shard, backup.bucket, ports.objects, session);
    const { totalSizeBytes, backupFiles } = backup;
    const result = { backup: name, result: "ok", fileCount: backupFiles.length, totalSizeBytes };
    session.print(result, described(result));
  },
});

/** The file is what was recorded, and the index beside it is the one that its bytes make. */
async function checkShard(
  { backupFile, file, index: beside }: StoredShard,
  bucket: string,
  objects: Objects,
  session: Session,
): Promise<void> {
  const stored = await storedAs(file, bucket, objects);
  const index = beside && (await readIndex(beside, bucket, file.sizeBytes, objects, session.signal));
  session.say(`reading ${backupFile.fileName}, ${sizeText(stored.sizeBytes)}`);
  const verdict = await readWhole(stored, index?.borderBytes, objects, session);
  const found = factsOf(verdict.summary);
  for (const [fact, value] of Object.entries(found))
    if (fact in backupFile && !isDeepStrictEqual(backupFile[fact as keyof typeof found], value))
      throw damaged(`gs://${bucket}/${file.object}: its ${fact} is not what was recorded`);
  if (beside !== undefined && !isDeepStrictEqual(verdict.index, index))
    throw damaged(`gs://${bucket}/${beside.object} is not the index of its file`);
}

const damaged = (message: string): StatusError => new StatusError("DATA_LOSS", message);

/** Every byte, its checksums compared; an error names the object. */
async function readWhole(stored: ObjectInfo, borderBytes: number | undefined, objects: Objects, session: Session) {
  let verdict: { summary: RdbSummary; index: RdbIndex } | undefined;
  const bytes = metered(objects.read(stored, {}, session.signal), stored.sizeBytes, session);
  const onVerdict = (summary: RdbSummary, index: RdbIndex) => {
    verdict = { summary, index };
  };
  try {
    for await (const _ of checked(bytes, onVerdict, { borderBytes }));
    if (verdict === undefined) throw new StatusError("INTERNAL", "it ended without a verdict");
    return verdict;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const { code, message, offset } = error;
    const options = { cause: error, ...(offset !== undefined && { offset }) };
    throw new StatusError(code, `gs://${stored.bucket}/${stored.object}: ${message}`, options);
  }
}
