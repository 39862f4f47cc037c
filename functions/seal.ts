import type { Backup, BackupCollection, Instance } from "../shared/backup/backup.ts";
import { parseEvent } from "../shared/backup/event.ts";
import { assertUnprotected } from "../shared/backup/instance.ts";
import { manifestBytes } from "../shared/backup/manifest.ts";
import { manifestObject, parseBackupName, parseInstanceName } from "../shared/backup/name.ts";
import { toReview } from "../shared/backup/review.ts";
import { storedObjects } from "../shared/backup/stored-object.ts";
import { counted, sealed } from "../shared/backup/transition.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { exportByPolicy } from "../shared/pipeline/export-by-policy.ts";
import type { ObjectInfo, Objects, Ports } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";
import { collect, lastAfter, once } from "../shared/pipeline/stream.ts";
import { writerOf } from "../shared/pipeline/take-target.ts";
import { removeSegments } from "./segments.ts";

/** Writes the manifest, last, and makes the backup ACTIVE: from here on it counts. */
export const seal = step<"seal.v1.requested">({
  on: "seal.v1.requested",

  async run(work, ports, signal) {
    const { store, objects } = ports;
    const doc = await store.get<Backup>(work.data.backup);
    if (doc === undefined) throw new StatusError("ABORTED", `${work.data.backup} is gone`);
    const bytes = manifestBytes(sealed(doc.data));
    await assertThere(doc.data, objects);
    await removeSegments(leftSegments(doc.data, ports), ports);
    const source = lastAfter(once(bytes), work.renew);
    const object = manifestObject(work.data.backup);
    await createOrFindEqual(objects, doc.data.bucket, object, source, bytes, { operation: work.operation }, signal);
  },

  async commit({ data: { backup } }, _, change) {
    const draft = await change.read<Backup>(backup);
    const { collection } = parseBackupName(backup);
    const holder = await change.read<BackupCollection>(collection);
    if (draft === undefined || holder === undefined) throw new StatusError("ABORTED", `${backup} is gone`);
    const active = sealed(draft);
    change.put(backup, active);
    const grown = await exportByPolicy(change, active, counted(holder, active, 1));
    change.put(collection, holder.keepsExpired ? toReview(grown, change.now) : grown);
    change.say("backup.v1.created", { backup });
    // No draft any more: what becomes of the instance must not take it back.
    change.operation.holds = change.operation.holds.filter(({ kind }) => kind !== "draft");
    const response = { backup, sizeBytes: active.totalSizeBytes };
    const { deleteInstance } = parseEvent("backup.v1.requested", change.operation.request.data);
    const reason = deleteInstance ? await takeAway(active, change) : undefined;
    if (reason === undefined) return await change.end({ response });
    const message = `${backup} is ACTIVE, but the instance was not deleted: ${reason}`;
    await change.end({ response, error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
  },
});

/** Removes the instance of a FINAL backup; or says why it stays, where something has come between since the admission. */
async function takeAway(backup: Backup, change: Change): Promise<string | undefined> {
  const instance = await change.read<Instance>(backup.instance);
  if (instance === undefined) return undefined;
  if (instance.uid !== backup.instanceUid) return `${instance.name} has been registered anew`;
  const writer = await writerOf(change, instance);
  if (writer !== undefined) return `${instance.name} is being restored by ${writer}`;
  try {
    assertUnprotected(instance);
  } catch (error) {
    return asStatusError(error).message;
  }
  change.remove(instance.name);
  const data = { instance: parseInstanceName(instance.name) };
  await change.request("instance.v1.changed", data, `${change.operation.name} has deleted it`);
  return undefined;
}

/** What the manifest will name is in the bucket as it was stored. */
async function assertThere(backup: Backup, objects: Objects): Promise<void> {
  for (const { object, generation, crc32c } of storedObjects(backup)) {
    const found = await objects.stat(backup.bucket, object);
    if (found?.generation !== generation || found.crc32c !== crc32c)
      throw new StatusError("DATA_LOSS", `${object} is not in the bucket as it was stored`);
  }
}

/** What its files were scanned in, where they were: of no use once they are committed. */
async function* leftSegments(
  { name, bucket, operation, backupFiles }: Backup,
  { objects }: Ports,
): AsyncGenerator<ObjectInfo> {
  if (!backupFiles.some(({ consistency }) => consistency === "FUZZY")) return;
  for await (const found of objects.list(bucket, `${name}/`)) {
    const isSegment = found.object.split("/").at(-2)?.endsWith(".segments");
    if (isSegment && found.metadata.operation === operation) yield found;
  }
}

/** An object that is there already is accepted only if it holds the same bytes. */
async function createOrFindEqual(
  objects: Objects,
  bucket: string,
  object: string,
  source: AsyncIterable<Uint8Array>,
  bytes: Uint8Array,
  metadata: Record<string, string>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await objects.create(bucket, object, source, metadata, signal);
  } catch (error) {
    if (asStatusError(error).code !== "ABORTED") throw error;
    const found = await objects.stat(bucket, object);
    if (found === undefined) throw error;
    if (Buffer.compare(await collect(objects.read(found, {}, signal)), bytes) !== 0)
      throw new StatusError("ALREADY_EXISTS", `${object} is there with other contents; nothing is overwritten`);
  }
}
