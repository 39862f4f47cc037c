import { AofReader } from "../shared/aof/reader.ts";
import type { AofSummary } from "../shared/aof/summary.ts";
import type { Backup, BackupFile, RdbFacts } from "../shared/backup/backup.ts";
import type { FileIndex } from "../shared/backup/file-index.ts";
import { manifestObject, parseObjectName, parseObjectUri } from "../shared/backup/name.ts";
import type { ReplayFile, RestoreFile } from "../shared/backup/operation.ts";
import type { Shape } from "../shared/backup/shape.ts";
import { storedShards } from "../shared/backup/stored-object.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { ObjectInfo, Objects, Ports } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { sizeOf } from "../shared/pipeline/stream.ts";
import { isDisagreement, readIndex, readManifest, storedAs } from "../shared/pipeline/vault.ts";
import { borderBytes } from "../shared/rdb/border.ts";
import { factsOf } from "../shared/rdb/facts.ts";

/** A file that is to be restored. */
export interface SourceFile {
  file: RestoreFile;
  /** Where it can be cut; absent: it is loaded whole. */
  index?: FileIndex;
  /** The slots that its shard served, where a manifest tells. */
  slots?: string;
  /** The backup that it is of, where a manifest beside a file in a bucket tells. */
  backup?: string;
}

/** One generation of an object, by its place. */
export type Place = Pick<ObjectInfo, "bucket" | "object" | "generation" | "sizeBytes" | "crc32c">;

/** A plan holds so many borders at most: those of large files are noted farther apart. */
const mostBorders = 1_000;

/** The files of a backup, as its manifest and the bucket agree on them, and the shape of what they were taken of. */
export async function filesOf(
  backup: string,
  { store, objects, log }: Ports,
  signal: AbortSignal,
): Promise<{ files: SourceFile[]; wanted: Shape }> {
  const doc = await store.get<Backup>(backup);
  if (doc === undefined) throw new StatusError("ABORTED", `${backup} is gone`);
  const { bucket } = doc.data;
  const found = await objects.stat(bucket, manifestObject(backup));
  if (found === undefined)
    throw new StatusError("DATA_LOSS", `${backup} has no manifest in gs://${bucket}: it cannot be restored`);
  const manifest = await readManifest(found, backup, objects);
  const files: SourceFile[] = [];
  for (const { backupFile, file: wanted, index: beside } of storedShards(manifest)) {
    const { object, generation } = await storedAs(wanted, bucket, objects);
    const file = { bucket, object, generation, ...rdbFactsOf(backupFile) };
    const index = beside && (await readIndex(beside, bucket, file.sizeBytes, objects, signal).catch(whole));
    const { slots } = backupFile;
    files.push({ file, ...(index && { index }), ...(slots !== undefined && { slots }) });
  }
  return { files, wanted: manifest };

  /** An index is derived: without it the file is as good as before, and is loaded in one part. */
  function whole(error: unknown): undefined {
    if (!isDisagreement(error)) throw error;
    log("WARNING", "loaded whole, without its index", { backup, reason: error.message });
  }
}

/** Of all that is recorded of a file only what reading it tells. */
function rdbFactsOf(file: BackupFile): RdbFacts {
  const facts: RdbFacts = { ...file };
  for (const field of Object.keys(facts)) if (!(field in rdbFacts)) Reflect.deleteProperty(facts, field);
  return facts;
}

/** Whoever adds one to the model is led here by the compiler. */
const rdbFacts = {
  sizeBytes: true,
  magic: true,
  rdbVersion: true,
  minimumRdbVersion: true,
  crc64: true,
  keys: true,
  expires: true,
  functions: true,
  databases: true,
  largestRecordBytes: true,
  moduleTypes: true,
  slotImports: true,
  usedMemoryBytes: true,
} satisfies Record<keyof RdbFacts, true>;

/** The objects that URIs name, as they are now. */
export async function placesOf(uris: readonly string[], objects: Objects): Promise<Place[]> {
  const places: Place[] = [];
  for (const uri of uris) {
    const { bucket, object } = parseObjectUri(uri);
    const found = await objects.stat(bucket, object).catch((cause) => missing(uri, bucket, objects, cause));
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${uri}`);
    places.push(found);
  }
  return places;
}

/**
 * A bucket that a person named and that is not there is theirs to mend, and no trouble that passes. It is asked for only after a
 * failure: whoever may read a bucket's files need not be allowed to describe it.
 */
async function missing(uri: string, bucket: string, objects: Objects, cause: unknown): Promise<never> {
  const isMissing = await objects.describe(bucket).then(
    () => false,
    (error) => asStatusError(error).code === "NOT_FOUND",
  );
  if (isMissing) throw new StatusError("NOT_FOUND", `there is no ${uri}: its bucket does not exist`, { cause });
  throw cause;
}

/** What one object was found to hold: an RDB file, commands of an AOF, or the one before the other. */
export interface ReadFile {
  place: Place;
  source?: SourceFile;
  log?: ReplayFile;
}

/**
 * Reads files whole before anything is touched: a damaged one is refused here. Where they can be cut is found on the way. A later
 * attempt goes on with the files that were not read yet. `mayBeEmpty`: as files of an AOF may be.
 */
export async function readFiles(
  places: readonly Place[],
  { resume, progress }: Pick<Work<"restore.v1.requested">, "resume" | "progress">,
  { objects, settings }: Pick<Ports, "objects" | "settings">,
  signal: AbortSignal,
  { mayBeEmpty = false }: { mayBeEmpty?: boolean } = {},
): Promise<ReadFile[]> {
  const totalBytes = places.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const everyBytes = Math.max(settings.borderBytes ?? borderBytes, Math.ceil(totalBytes / mostBorders));
  const earlier: ReadFile[] = resume === undefined ? [] : JSON.parse(resume);
  const files: ReadFile[] = [];
  let doneBytes = 0;
  for (const place of places) {
    const read = JSON.stringify(files);
    const told = (bytes: number) => progress(doneBytes + bytes, totalBytes, read, doneBytes);
    const reader = new AofReader({ mayBeEmpty, borderBytes: everyBytes });
    const known = earlier.find((file) => isSame(file.place, place));
    files.push(known ?? (await readFile(place, reader, objects, told, signal)));
    doneBytes += place.sizeBytes;
  }
  return files;
}

const isSame = (a: Pick<Place, "bucket" | "object" | "generation">, b: Place): boolean =>
  a.bucket === b.bucket && a.object === b.object && a.generation === b.generation;

async function readFile(
  place: Place,
  reader: AofReader,
  objects: Objects,
  told: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<ReadFile> {
  const { bucket, object, generation } = place;
  for await (const chunk of sizeOf(objects.read(place, { fleeting: true }, signal), told)) reader.write(chunk);
  const { sizeBytes, base, log } = reader.end();
  const found: ReadFile = { place };
  if (log !== undefined) found.log = replayOf(place, sizeBytes, log);
  if (base === undefined) return found;
  const index = reader.index();
  const beside = await manifestOf(place, objects, signal);
  found.source = {
    file: { bucket, object, generation, ...factsOf(base), ...(log !== undefined && { isPreamble: true }) },
    ...(index !== undefined && index.borders.length > 0 && { index: { ...index, borders: [...index.borders] } }),
    ...beside,
  };
  return found;
}

/** Of all that reading the commands told only what a plan needs. */
function replayOf({ bucket, object, generation }: Place, sizeBytes: number, log: AofSummary): ReplayFile {
  const { startOffset, endOffset, commands, expires, databases, largestArgumentBytes, refused } = log;
  return {
    ...{ bucket, object, generation, sizeBytes, startOffset, endOffset },
    ...{ commands, expires, databases, largestArgumentBytes },
    ...(refused !== undefined && { refused }),
  };
}

/** What a manifest beside a file tells of it, as of a copy of a backup: nothing where it stands alone. */
async function manifestOf(
  place: Place,
  objects: Objects,
  signal: AbortSignal,
): Promise<Pick<SourceFile, "slots" | "backup">> {
  const { backup, shard } = parseObjectName(place.object) ?? {};
  if (backup === undefined || shard === undefined) return {};
  const found = await objects.stat(place.bucket, manifestObject(backup));
  if (found === undefined) return {};
  try {
    const file = (await readManifest(found, backup, objects, signal)).backupFiles[shard];
    if (file?.crc32c !== place.crc32c || file.sizeBytes !== place.sizeBytes) return {};
    return { backup, ...(file.slots !== undefined && { slots: file.slots }) };
  } catch (error) {
    if (!isDisagreement(error)) throw error;
    return {}; // what stands there is no manifest of this file
  }
}
