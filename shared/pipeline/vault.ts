import { isDeepStrictEqual } from "node:util";
import type { Backup, BackupFile } from "../backup/backup.ts";
import { parseManifest } from "../backup/manifest.ts";
import { manifestObject, parseObjectName } from "../backup/name.ts";
import { largestManifestBytes, rebuiltBackup } from "../backup/rebuild.ts";
import { StatusError } from "../error.ts";
import type { ObjectInfo, Objects, Ports } from "./ports.ts";
import { collect } from "./stream.ts";

/** How many objects one message looks at, and for how long at most, in milliseconds; the next message goes on. */
const pageSize = 500;
const pageTime = 180_000;

/**
 * Goes through the vault by name, from `startOffset` on, as far as one message should. `look` answers `full` where the
 * page can hold no more. Answers where the next page begins; `undefined` at the end.
 */
export async function walkVault(
  { objects, clock, settings }: Ports,
  prefix: string,
  startOffset: string | undefined,
  signal: AbortSignal,
  look: (found: ObjectInfo) => Promise<"full" | undefined>,
): Promise<string | undefined> {
  const started = clock.monotonic();
  let count = 0;
  let isFull = false;
  for await (const found of objects.list(
    settings.vaultBucket,
    prefix,
    startOffset === undefined ? {} : { startOffset },
  )) {
    signal.throwIfAborted();
    if (isFull || count === pageSize || clock.monotonic() - started > pageTime) return found.object;
    count++;
    isFull = (await look(found)) === "full";
  }
  return undefined;
}

/** A file of a backup as it is stored; DATA_LOSS says how it is not as it was recorded. */
export async function storedFile(
  { name, bucket }: Pick<Backup, "name" | "bucket">,
  { fileName, generation, crc32c, sizeBytes }: BackupFile,
  objects: Objects,
): Promise<ObjectInfo> {
  const object = `${name}/${fileName}`;
  const stored = await objects.stat(bucket, object);
  if (stored === undefined) throw damaged(`gs://${bucket}/${object} is missing`);
  for (const [what, expected] of Object.entries({ generation, crc32c, sizeBytes })) {
    const found = stored[what as "generation" | "crc32c" | "sizeBytes"];
    if (found !== expected) throw damaged(`gs://${bucket}/${object}: ${what} is ${found}, ${expected} was recorded`);
  }
  return stored;
}

/** The manifest is there and names the same files as the document; else DATA_LOSS. */
export async function assertManifest(
  { name, bucket, backupFiles }: Backup,
  objects: Objects,
  signal: AbortSignal,
): Promise<void> {
  const found = await objects.stat(bucket, manifestObject(name));
  if (found === undefined) throw damaged(`gs://${bucket}/${manifestObject(name)} is missing: it cannot be restored`);
  const manifest = parseManifest(await contents(found, objects, signal), name);
  if (!isDeepStrictEqual(manifest.backupFiles, backupFiles))
    throw damaged(`gs://${bucket}/${manifestObject(name)} names other files than the backup`);
}

/**
 * The backup that a manifest in the bucket stands for, once everything that it says agrees with what is there: its place, and each file by
 * size, generation, CRC32C and the Operation that wrote it. DATA_LOSS says what does not: it was tampered with, or is not ours.
 * Objects that are held make a backup that is held, by `operation`.
 */
export async function backupOf(
  manifest: ObjectInfo,
  objects: Objects,
  { operation, now }: { operation: string; now: string },
  signal: AbortSignal,
): Promise<Backup> {
  const name = parseObjectName(manifest.object)?.backup ?? "";
  const backup = rebuiltBackup(await contents(manifest, objects, signal), name, manifest.bucket, now);
  if (manifest.metadata.operation !== backup.operation)
    throw damaged(`${manifest.object} was not written by ${backup.operation}, which it names`);
  let isHeld = manifest.isHeld ?? false;
  for (const [shard, file] of backup.backupFiles.entries()) {
    signal.throwIfAborted();
    const { object, metadata, ...stored } = await storedFile(backup, file, objects);
    if (metadata.operation !== backup.operation || metadata.shard !== String(shard))
      throw damaged(`${object} was not written by ${backup.operation} for shard ${shard}`);
    isHeld ||= stored.isHeld ?? false;
  }
  const hold = { reason: "its objects were held when the catalogue was rebuilt", createTime: now, operation };
  return { ...backup, ...(isHeld && { hold }) };
}

/** A manifest's bytes; one too large to be a manifest is not read. */
async function contents(found: ObjectInfo, objects: Objects, signal: AbortSignal): Promise<Uint8Array> {
  if (found.sizeBytes > largestManifestBytes)
    throw damaged(`${found.object} has ${found.sizeBytes} bytes, a manifest has at most ${largestManifestBytes}`);
  return await collect(objects.read(found, {}, signal));
}

const damaged = (message: string): StatusError => new StatusError("DATA_LOSS", message);
