import type { BackupFile, Instance } from "../shared/backup/backup.ts";
import { timeOf } from "../shared/backup/duration.ts";
import { fileName, fileObject, manifestObject } from "../shared/backup/name.ts";
import { ReplicationRefused, StatusError } from "../shared/error.ts";
import { isGoingOn } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Ports, ShardSource, ShardTask } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { lastAfter, sizeOf } from "../shared/pipeline/stream.ts";
import { checked } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import type { RdbSummary } from "../shared/rdb/summary.ts";
import { fitsDelivery, removeSegments, scanInSegments, scanWhole, segmentsOf } from "./segments.ts";

/** One shard of a lane. */
export interface Taking {
  work: Work<"shard.v1.requested">;
  instance: Instance;
  task: ShardTask;
  /** Hears of whom it is taken, before the first byte. */
  onSource(source: ShardSource): void;
  /** Hears how many bytes of this shard have passed. */
  onBytes(doneBytes: number): void;
}

/** What the object itself keeps of how its file came about: a later attempt that finds it there knows no more. */
export type Origin = Omit<ShardSource, "node"> &
  Pick<BackupFile, "snapshotStartTime" | "snapshotEndTime" | "consistency">;

/**
 * Streams one shard's RDB file from Valkey, checks it on the way, stores it whole or not at all. UNFINISHED: what was done is kept,
 * and the rest wants another delivery.
 */
export async function takeShard(taking: Taking, ports: Ports, signal: AbortSignal): Promise<BackupFile | "UNFINISHED"> {
  const { work, instance, task } = taking;
  const { objects, valkey, settings } = ports;
  const object = fileObject(work.data.backup, task.shard);
  const found = await objects.stat(settings.vaultBucket, object);
  const own = found && (await accept(found, taking, ports, signal));
  if (own !== undefined) return own;
  if (instance.snapshotMethod === "SCAN") return await scanned(taking, ports, signal);
  try {
    return await store(taking, ports, signal, {}, (onSource) => valkey.snapshot(instance, task, signal, onSource));
  } catch (error) {
    if (!(error instanceof ReplicationRefused) || instance.snapshotMethod !== undefined) throw error;
    ports.log("INFO", "replication is refused, so it is scanned", { object, reason: error.message });
    return await scanned(taking, ports, signal);
  }
}

/** A small shard at once, a large one in segments. Its keys are of a moment each. */
async function scanned(taking: Taking, ports: Ports, signal: AbortSignal): Promise<BackupFile | "UNFINISHED"> {
  if (await fitsDelivery(taking, ports, signal)) {
    const open = (onSource: OnSource) => scanWhole(taking, ports, signal, onSource);
    return await store(taking, ports, signal, { consistency: "FUZZY" }, open);
  }
  const joined = await scanInSegments(taking, ports, signal);
  if (joined === "UNFINISHED") return joined;
  const own = await accept(joined, taking, ports, signal);
  if (own !== undefined) return own;
  await removeSegments(await segmentsOf(taking, ports, signal), ports);
  throw new StatusError("ABORTED", `${joined.object} was no whole RDB file, and is scanned anew`);
}

type OnSource = (source: ShardSource) => void;

/** Stores what is opened, checked on the way. */
async function store(
  { work, task, onSource, onBytes }: Taking,
  { objects, clock, settings }: Ports,
  signal: AbortSignal,
  method: Pick<BackupFile, "consistency">,
  open: (onSource: OnSource) => AsyncIterable<Uint8Array>,
): Promise<BackupFile> {
  const object = fileObject(work.data.backup, task.shard);
  let summary: RdbSummary | undefined;
  let origin: Origin = { ...method, snapshotStartTime: timeOf(clock.now()) };
  const stream = open((source) => {
    onSource(source);
    const { node: _, ...told } = source;
    origin = { ...told, ...origin };
  });
  const bytes = sizeOf(stream, onBytes);
  try {
    const first = await bytes.next(); // by now it is known of whom they are
    const rdb = checked(from(first, bytes), (verdict) => {
      assertWhole(verdict, object);
      summary = verdict;
    });
    const metadata = { operation: work.operation, shard: String(task.shard), origin: JSON.stringify(origin) };
    const stored = await objects.create(settings.vaultBucket, object, lastAfter(rdb, work.renew), metadata, signal);
    return fileOf(stored, task, summary);
  } finally {
    await bytes.return(undefined);
  }
}

/**
 * An object that is there already is accepted only if this Operation wrote it, and only after every byte was read again. Any other
 * is in the way: it is removed, unless a manifest says that it belongs to a backup.
 */
async function accept(
  found: ObjectInfo,
  { work, task }: Taking,
  { objects, store }: Ports,
  signal: AbortSignal,
): Promise<BackupFile | undefined> {
  const { backup } = work.data;
  const owner = found.metadata.operation ?? "";
  const isOwn = owner === work.operation && found.metadata.shard === String(task.shard);
  // Asked before the manifest is looked for: an owner that has ended by now has written its manifest by now, if ever.
  if (!isOwn && (await isGoingOn(owner, store)))
    throw new StatusError("ABORTED", `${found.object} belongs to ${owner}, which is still at work`);
  if ((await objects.stat(found.bucket, manifestObject(backup))) !== undefined)
    throw new StatusError("ALREADY_EXISTS", `${backup} is complete in the bucket already; nothing is overwritten`);
  if (isOwn) {
    const summary = await readBack(found, objects, signal);
    if (summary !== undefined) return fileOf(found, task, summary);
  }
  await work.renew();
  await objects.remove(found);
  return undefined;
}

/** What reading the stored object tells; `undefined` if it is not a whole RDB file. */
async function readBack(
  found: ObjectInfo,
  objects: Ports["objects"],
  signal: AbortSignal,
): Promise<RdbSummary | undefined> {
  let summary: RdbSummary | undefined;
  try {
    for await (const _ of checked(objects.read(found, {}, signal), (verdict) => {
      summary = verdict;
    }));
    return summary;
  } catch (error) {
    if (error instanceof StatusError && error.code === "DATA_LOSS") return undefined;
    throw error;
  }
}

async function* from(first: IteratorResult<Uint8Array>, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

/** Keys of a slot on its way into the shard may be there in part, and are in another shard's file. */
function assertWhole({ slotImports }: RdbSummary, object: string): void {
  if (slotImports > 0)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `slots were moving into the shard of ${object}: take the backup once they have arrived`,
    );
}

function fileOf(stored: ObjectInfo, { shard, slots }: ShardTask, summary: RdbSummary | undefined): BackupFile {
  if (summary === undefined || summary.sizeBytes !== stored.sizeBytes)
    throw new StatusError(
      "DATA_LOSS",
      `${stored.object} has ${stored.sizeBytes} bytes, ${summary?.sizeBytes} were read`,
    );
  const { createTime, generation, crc32c, metadata } = stored;
  const origin: Origin = metadata.origin === undefined ? {} : JSON.parse(metadata.origin);
  return {
    fileName: fileName(shard),
    createTime,
    generation,
    crc32c,
    ...factsOf(summary),
    ...(slots !== undefined && { slots }),
    snapshotEndTime: createTime,
    ...origin,
  };
}
