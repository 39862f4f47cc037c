import type { Backup } from "../shared/backup/backup.ts";
import { fileObject, manifestObject } from "../shared/backup/name.ts";
import { assertReadable } from "../shared/backup/transition.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import { existing } from "../shared/pipeline/existing.ts";
import type { ObjectInfo, Objects, Settings } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Copies a backup to the operator's own regional bucket, the manifest last, and checks what arrived. */
export const exportBackup = step<"export.v1.requested", { sizeBytes: number }>({
  on: "export.v1.requested",
  goesOn: true,

  async admit({ data: { backup, gcsBucket }, operation }, change, { settings }) {
    assertForeign(gcsBucket, settings);
    const found = await existing(change, backup);
    assertReadable(found);
    if (!found.pins.includes(operation)) change.put(backup, { ...found, pins: [...found.pins, operation] });
    change.hold({ kind: "pin", path: backup });
  },

  async run({ data: { backup, gcsBucket }, progress }, { store, objects }, signal) {
    const doc = await store.get<Backup>(backup);
    if (doc === undefined) throw new StatusError("ABORTED", `${backup} is gone`);
    const { bucket, location, backupFiles, totalSizeBytes } = doc.data;
    await assertNear(objects, gcsBucket, location);
    let sizeBytes = 0;
    for (const { fileName, generation, crc32c, ...file } of backupFiles) {
      const source = await objects.stat(bucket, fileObject(backup, Number.parseInt(fileName, 10)));
      if (source?.generation !== generation || source.crc32c !== crc32c || source.sizeBytes !== file.sizeBytes)
        throw new StatusError("DATA_LOSS", `${backup}/${fileName} is not in the bucket as it was stored`);
      await copyOrFindEqual(objects, source, gcsBucket, signal);
      sizeBytes += file.sizeBytes;
      progress(sizeBytes, totalSizeBytes);
    }
    const manifest = await objects.stat(bucket, manifestObject(backup));
    if (manifest === undefined) throw new StatusError("DATA_LOSS", `${manifestObject(backup)} is not in the bucket`);
    await copyOrFindEqual(objects, manifest, gcsBucket, signal);
    return { sizeBytes };
  },

  async commit({ data: { backup, gcsBucket } }, { sizeBytes }, change) {
    change.say("backup.v1.exported", { backup, gcsBucket });
    await change.end({ response: { uri: `gs://${gcsBucket}/${backup}`, sizeBytes } });
  },
});

function assertForeign(bucket: string, { vaultBucket, inboxBucket }: Settings): void {
  if (bucket !== vaultBucket && bucket !== inboxBucket) return;
  const which =
    bucket === vaultBucket ? "the vault: the backups are there already" : "the inbox: what lands there is restored";
  throw new StatusError("FAILED_PRECONDITION", `gs://${bucket} is ${which}; export to a bucket of your own`);
}

/** Memorystore's rule: the bucket is regional and in the backup's region. */
async function assertNear(objects: Objects, bucket: string, location: string): Promise<void> {
  const found = await objects.describe(bucket);
  if (found.locationType === "region" && found.location.toLowerCase() === location.toLowerCase()) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `gs://${bucket} is in ${found.location} (${found.locationType}), expected a regional bucket in ${location}`,
  );
}

async function copyOrFindEqual(
  objects: Objects,
  source: ObjectInfo,
  bucket: string,
  signal: AbortSignal,
): Promise<void> {
  const { object } = source;
  try {
    const copy = await objects.copy(source, { bucket, object }, source.metadata, signal);
    if (isEqual(copy, source)) return;
    await objects.remove(copy);
    throw new StatusError("DATA_LOSS", `the copy gs://${bucket}/${object} differs from its source and was removed`);
  } catch (error) {
    if (asStatusError(error).code !== "ABORTED") throw error;
    const found = await objects.stat(bucket, object);
    if (found === undefined) throw error;
    if (!isEqual(found, source))
      throw new StatusError(
        "ALREADY_EXISTS",
        `gs://${bucket}/${object} is there with other contents; nothing is overwritten`,
      );
  }
}

const isEqual = (a: ObjectInfo, b: ObjectInfo): boolean => a.sizeBytes === b.sizeBytes && a.crc32c === b.crc32c;
