import { isDeepStrictEqual } from "node:util";
import type { Backup } from "../backup/backup.ts";
import type { CopiedObject } from "../backup/copy.ts";
import type { EventType } from "../backup/event.ts";
import { manifestObject } from "../backup/name.ts";
import { storedObjects } from "../backup/stored-object.ts";
import { asStatusError, StatusError } from "../error.ts";
import type { CopyCourse, ObjectInfo, Objects } from "./ports.ts";
import type { Work } from "./step.ts";
import { readManifest } from "./vault.ts";

/**
 * Copies a backup's files and their indexes from one bucket to another, each compared with the manifest before and after, and then the
 * manifest: without it a copy does not count. An index that is gone is done without. Nothing is overwritten; what an earlier attempt
 * copied is accepted if it is the same, and a file that it had begun is gone on with. ALREADY_EXISTS: something else is in the way.
 * DATA_LOSS: the source is not as the manifest names it.
 */
export async function copySet(
  backup: Backup,
  from: string,
  to: string,
  objects: Objects,
  work: Pick<Work<EventType>, "resume" | "progress">,
  signal: AbortSignal,
): Promise<CopiedObject[]> {
  const { operation, totalSizeBytes } = backup;
  const manifest = await manifestIn(from, backup, objects, signal);
  const begun = /^(?<object>.*)\n(?<resume>.*)$/.exec(work.resume ?? "")?.groups;
  const copied: CopiedObject[] = [];
  let doneBytes = 0;
  for (const wanted of storedObjects(backup)) {
    signal.throwIfAborted();
    const { object, shard } = wanted;
    const source = await objects.stat(from, object);
    const isPinned = from !== backup.bucket || source?.generation === wanted.generation;
    const isThere = source !== undefined && isPinned && isSame(source, wanted);
    if (!isThere && wanted.isIndex) continue; // without it the copy is as good: a restore of it finds the borders anew
    if (!isThere) throw new StatusError("DATA_LOSS", `gs://${from}/${object} is not as the manifest names it`);
    const before = doneBytes;
    const course = {
      ...(begun?.object === object && { resume: begun.resume ?? "" }),
      onProgress: (bytes: number, resume: string) =>
        work.progress(before + bytes, totalSizeBytes, `${object}\n${resume}`),
    };
    copied.push(await copyOrFind(source, to, { operation, shard: String(shard) }, objects, signal, course));
    if (!wanted.isIndex) doneBytes += wanted.sizeBytes;
    work.progress(doneBytes, totalSizeBytes);
  }
  copied.push(await copyOrFind(manifest, to, { operation }, objects, signal));
  return copied;
}

/** The manifest in a bucket, once it was read and names what the Backup does. */
async function manifestIn(bucket: string, backup: Backup, objects: Objects, signal: AbortSignal): Promise<ObjectInfo> {
  const { name, operation } = backup;
  const object = manifestObject(name);
  const found = await objects.stat(bucket, object);
  if (found === undefined) throw new StatusError("DATA_LOSS", `gs://${bucket}/${object} is gone`);
  const manifest = await readManifest(found, name, objects, signal);
  if (manifest.operation !== operation || !isDeepStrictEqual(storedObjects(manifest), storedObjects(backup)))
    throw new StatusError("DATA_LOSS", `gs://${bucket}/${object} names other files than the Backup does`);
  return found;
}

/** Copies one object, or finds the copy that an earlier attempt made; what arrived is asked of the bucket itself. */
async function copyOrFind(
  source: ObjectInfo,
  bucket: string,
  metadata: Record<string, string>,
  objects: Objects,
  signal: AbortSignal,
  course?: CopyCourse,
): Promise<CopiedObject> {
  const { object } = source;
  const copy = await objects.copy(source, { bucket, object }, metadata, signal, course).catch(unlessThere);
  const found = await objects.stat(bucket, object);
  if (found !== undefined && isSame(found, source) && carries(found, metadata))
    return { object, generation: found.generation };
  const what = `gs://${bucket}/${object}`;
  if (found !== undefined && found.generation !== copy?.generation)
    throw new StatusError(
      "ALREADY_EXISTS",
      `${what} is there and is no copy of this backup; nothing is overwritten: move it away, or export to another bucket`,
    );
  if (found !== undefined) await objects.remove(found);
  // Neither does what an earlier attempt had begun lead anywhere.
  if (course?.resume !== undefined)
    return await copyOrFind(source, bucket, metadata, objects, signal, { onProgress: course.onProgress });
  throw new StatusError("UNAVAILABLE", `the copy ${what} differs from its source and was removed: copy it again`);
}

/** Nothing was copied where there is an object already. */
function unlessThere(error: unknown): undefined {
  if (asStatusError(error).code !== "ABORTED") throw error;
}

const carries = (found: ObjectInfo, metadata: Record<string, string>): boolean =>
  Object.entries(metadata).every(([field, value]) => found.metadata[field] === value);

const isSame = (a: { sizeBytes: number; crc32c: string }, b: { sizeBytes: number; crc32c: string }): boolean =>
  a.sizeBytes === b.sizeBytes && a.crc32c === b.crc32c;
