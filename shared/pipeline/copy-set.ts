import { isDeepStrictEqual } from "node:util";
import type { Backup, BackupFile } from "../backup/backup.ts";
import type { CopiedObject } from "../backup/copy.ts";
import { parseManifest } from "../backup/manifest.ts";
import { fileObject, manifestObject } from "../backup/name.ts";
import { asStatusError, StatusError } from "../error.ts";
import type { ObjectInfo, Objects } from "./ports.ts";
import { collect } from "./stream.ts";

/**
 * Copies a backup's files from one bucket to another, each compared with the manifest before and after, and then the
 * manifest: without it a copy does not count. Nothing is overwritten; what an earlier attempt copied is accepted if it
 * is the same. ALREADY_EXISTS: something else is in the way. DATA_LOSS: the source is not as the manifest names it.
 */
export async function copySet(
  backup: Backup,
  from: string,
  to: string,
  objects: Objects,
  progress: (doneBytes: number, totalBytes: number) => void,
  signal: AbortSignal,
): Promise<CopiedObject[]> {
  const manifest = await manifestIn(from, backup, objects, signal);
  const copied: CopiedObject[] = [];
  let doneBytes = 0;
  for (const file of backup.backupFiles) {
    signal.throwIfAborted();
    const shard = Number.parseInt(file.fileName, 10);
    const source = await objects.stat(from, fileObject(backup.name, shard));
    const isPinned = from !== backup.bucket || source?.generation === file.generation;
    if (source === undefined || !isPinned || !isSame(source, file))
      throw new StatusError(
        "DATA_LOSS",
        `gs://${from}/${backup.name}/${file.fileName} is not as the manifest names it`,
      );
    copied.push(await copyOrFind(source, to, { operation: backup.operation, shard: String(shard) }, objects, signal));
    doneBytes += file.sizeBytes;
    progress(doneBytes, backup.totalSizeBytes);
  }
  copied.push(await copyOrFind(manifest, to, { operation: backup.operation }, objects, signal));
  return copied;
}

/** The manifest in a bucket, once it was read and names what the Backup does. */
async function manifestIn(
  bucket: string,
  { name, operation, backupFiles }: Backup,
  objects: Objects,
  signal: AbortSignal,
): Promise<ObjectInfo> {
  const object = manifestObject(name);
  const found = await objects.stat(bucket, object);
  if (found === undefined) throw new StatusError("DATA_LOSS", `gs://${bucket}/${object} is gone`);
  const manifest = parseManifest(await collect(objects.read(found, {}, signal)), name);
  if (
    manifest.operation !== operation ||
    !isDeepStrictEqual(manifest.backupFiles.map(identityOf), backupFiles.map(identityOf))
  )
    throw new StatusError("DATA_LOSS", `gs://${bucket}/${object} names other files than the Backup does`);
  return found;
}

const identityOf = ({ fileName, generation, sizeBytes, crc32c }: BackupFile) => [
  fileName,
  generation,
  sizeBytes,
  crc32c,
];

async function copyOrFind(
  source: ObjectInfo,
  bucket: string,
  metadata: Record<string, string>,
  objects: Objects,
  signal: AbortSignal,
): Promise<CopiedObject> {
  const { object } = source;
  const isRight = (found: ObjectInfo): boolean =>
    isSame(found, source) && Object.entries(metadata).every(([field, value]) => found.metadata[field] === value);
  try {
    const copy = await objects.copy(source, { bucket, object }, metadata, signal);
    if (isRight(copy)) return { object, generation: copy.generation };
    await objects.remove(copy);
    const what = `the copy gs://${bucket}/${object} differs from its source and was removed: copy it again`;
    throw new StatusError("UNAVAILABLE", what);
  } catch (error) {
    if (asStatusError(error).code !== "ABORTED") throw error;
    const found = await objects.stat(bucket, object);
    if (found === undefined) throw error;
    if (isRight(found)) return { object, generation: found.generation };
    const what = `gs://${bucket}/${object} is there and is no copy of this backup; nothing is overwritten`;
    throw new StatusError("ALREADY_EXISTS", `${what}: move it away, or export to another bucket`);
  }
}

const isSame = (a: { sizeBytes: number; crc32c: string }, b: { sizeBytes: number; crc32c: string }): boolean =>
  a.sizeBytes === b.sizeBytes && a.crc32c === b.crc32c;
