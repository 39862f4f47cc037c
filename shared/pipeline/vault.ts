import { isDeepStrictEqual } from "node:util";
import type { Backup } from "../backup/backup.ts";
import { type FileIndex, largestIndexBytes, parseIndex } from "../backup/file-index.ts";
import { type Manifest, parseManifest } from "../backup/manifest.ts";
import { manifestObject, parseObjectName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import { largestManifestBytes, rebuiltBackup } from "../backup/rebuild.ts";
import { inReview } from "../backup/review.ts";
import { type StoredObject, storedObjects } from "../backup/stored-object.ts";
import { StatusError } from "../error.ts";
import type { ObjectInfo, Objects, Ports } from "./ports.ts";
import { collect } from "./stream.ts";

/** An object of a backup as it is stored; DATA_LOSS says how it is not as it was recorded. */
export async function storedAs(wanted: StoredObject, bucket: string, objects: Objects): Promise<ObjectInfo> {
  const { object, generation, crc32c, sizeBytes } = wanted;
  const stored = await objects.stat(bucket, object);
  if (stored === undefined) throw damaged(`gs://${bucket}/${object} is missing`);
  for (const [what, expected] of Object.entries({ generation, crc32c, sizeBytes })) {
    const found = stored[what as "generation" | "crc32c" | "sizeBytes"];
    if (found !== expected) throw damaged(`gs://${bucket}/${object}: ${what} is ${found}, ${expected} was recorded`);
  }
  return stored;
}

/** The index of a file of `fileBytes`, as the manifest pins it; DATA_LOSS says how it is not that. */
export async function readIndex(
  wanted: StoredObject,
  bucket: string,
  fileBytes: number,
  objects: Objects,
  signal: AbortSignal,
): Promise<FileIndex> {
  const stored = await storedAs(wanted, bucket, objects);
  const name = `gs://${bucket}/${wanted.object}`;
  if (stored.sizeBytes > largestIndexBytes)
    throw damaged(`${name} has ${stored.sizeBytes} bytes, an index has at most ${largestIndexBytes}`);
  return parseIndex(await collect(objects.read(stored, {}, signal)), name, fileBytes);
}

/** The manifest is there and names the same files as the document; else DATA_LOSS. */
export async function assertManifest(
  { name, bucket, backupFiles }: Backup,
  objects: Objects,
  signal: AbortSignal,
): Promise<void> {
  const found = await objects.stat(bucket, manifestObject(name));
  if (found === undefined) throw damaged(`gs://${bucket}/${manifestObject(name)} is missing: it cannot be restored`);
  const manifest = await readManifest(found, name, objects, signal);
  if (!isDeepStrictEqual(manifest.backupFiles, backupFiles))
    throw damaged(`gs://${bucket}/${manifestObject(name)} names other files than the backup`);
}

/**
 * The backup that a manifest in the bucket stands for, once everything that it says agrees with what is there: its place, and each file by
 * size, generation, CRC32C and the Operation that wrote it. An error, of which `isDisagreement` holds, says what does not: it was tampered
 * with, is not ours, or is what a failed Operation left.
 * Objects that are held make a backup that is held, by `operation`.
 */
export async function backupOf(
  manifest: ObjectInfo,
  { store, objects }: Pick<Ports, "store" | "objects">,
  { operation, now }: { operation: string; now: string },
  signal: AbortSignal,
): Promise<Backup> {
  const name = parseObjectName(manifest.object)?.backup ?? "";
  const backup = rebuiltBackup(await contents(manifest, objects, signal), name, manifest.bucket, now);
  if (manifest.metadata.operation !== backup.operation)
    throw damaged(`${manifest.object} was not written by ${backup.operation}, which it names`);
  let isHeld = manifest.isHeld ?? false;
  for (const wanted of storedObjects(backup)) {
    signal.throwIfAborted();
    if (wanted.isIndex) continue; // a restore looks at it, and goes without
    const { object, metadata, ...stored } = await storedAs(wanted, backup.bucket, objects);
    const { shard } = wanted;
    if (metadata.operation !== backup.operation || metadata.shard !== String(shard))
      throw damaged(`${object} was not written by ${backup.operation} for shard ${shard}`);
    isHeld ||= stored.isHeld ?? false;
  }
  await assertSucceeded(backup, store);
  const hold = { reason: "its objects were held when the catalogue was rebuilt", createTime: now, operation };
  return inReview({ ...backup, ...(isHeld && { hold }) });
}

/**
 * Refuses a backup whose Operation has failed or goes on: what that one left is on its way to be removed. One that made its backup and
 * failed in something else has not.
 */
async function assertSucceeded({ name, operation }: Backup, store: Ports["store"]): Promise<void> {
  const found = (await store.get<Operation>(operation))?.data;
  const isMade = found?.done && (found.error === undefined || found.response?.backup === name);
  if (found === undefined || isMade) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${operation}, which made ${name}, ${found.done ? "failed" : "goes on"}`,
  );
}

/** Whether an error tells of a backup that is not as it was recorded, and not of a service that does not answer. */
export const isDisagreement = (error: unknown): error is StatusError =>
  error instanceof StatusError && ["DATA_LOSS", "UNIMPLEMENTED", "FAILED_PRECONDITION"].includes(error.code);

/** The manifest of a backup as it stands in the bucket; DATA_LOSS where it is not that. */
export async function readManifest(
  found: ObjectInfo,
  name: string,
  objects: Objects,
  signal?: AbortSignal,
): Promise<Manifest> {
  return parseManifest(await contents(found, objects, signal), name);
}

/** A manifest's bytes; one too large to be a manifest is not read. */
async function contents(found: ObjectInfo, objects: Objects, signal?: AbortSignal): Promise<Uint8Array> {
  if (found.sizeBytes > largestManifestBytes)
    throw damaged(`${found.object} has ${found.sizeBytes} bytes, a manifest has at most ${largestManifestBytes}`);
  return await collect(objects.read(found, {}, signal));
}

const damaged = (message: string): StatusError => new StatusError("DATA_LOSS", message);
