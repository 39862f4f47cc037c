import type { BackupFile, Instance } from "../shared/backup/backup.ts";
import { timeOf } from "../shared/backup/duration.ts";
import { fileName, fileObject, manifestObject } from "../shared/backup/name.ts";
import { StatusError } from "../shared/error.ts";
import { isGoingOn } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Ports, ShardSource, ShardTask } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { sizeOf } from "../shared/pipeline/stream.ts";
import { checked } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import type { RdbSummary } from "../shared/rdb/summary.ts";

/** One shard of a lane. */
export interface Taking {
  work: Work<"shard.v1.requested">;
  instance: Instance;
  task: ShardTask;
  /** Hears how many bytes of this shard have passed. */
  onBytes(doneBytes: number): void;
}

/** What the object itself keeps of how its file came about: a later attempt that finds it there knows no more. */
type Origin = ShardSource & Pick<BackupFile, "snapshotStartTime">;

/**
 * Streams one shard's RDB file from Valkey, checks it on the way, stores it whole or not at all. UNFINISHED: what was done is kept,
 * and the rest wants another delivery.
 */
export async function takeShard(taking: Taking, ports: Ports, signal: AbortSignal): Promise<BackupFile | "UNFINISHED"> {
  const { work, instance, task, onBytes } = taking;
  const { objects, valkey, clock, settings } = ports;
  const object = fileObject(work.data.backup, task.shard);
  const found = await objects.stat(settings.vaultBucket, object);
  const own = found && (await accept(found, taking, ports, signal));
  if (own !== undefined) return own;
  let summary: RdbSummary | undefined;
  let origin: Origin = { snapshotStartTime: timeOf(clock.now()) };
  const stream = valkey.snapshot(instance, task, signal, (source) => {
    origin = { ...source, ...origin };
  });
  const bytes = sizeOf(stream, onBytes);
  try {
    const first = await bytes.next(); // by now it is known of whom they are
    const rdb = checked(from(first, bytes), (verdict) => {
      summary = verdict;
    });
    const metadata = { operation: work.operation, shard: String(task.shard), origin: JSON.stringify(origin) };
    const stored = await objects.create(settings.vaultBucket, object, lastAfter(rdb, work.renew), metadata, signal);
    return fileOf(stored, task.shard, summary);
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
  { work, task: { shard } }: Taking,
  { objects, store }: Ports,
  signal: AbortSignal,
): Promise<BackupFile | undefined> {
  const { backup } = work.data;
  const owner = found.metadata.operation ?? "";
  const isOwn = owner === work.operation && found.metadata.shard === String(shard);
  // Asked before the manifest is looked for: an owner that has ended by now has written its manifest by now, if ever.
  if (!isOwn && (await isGoingOn(owner, store)))
    throw new StatusError("ABORTED", `${found.object} belongs to ${owner}, which is still at work`);
  if ((await objects.stat(found.bucket, manifestObject(backup))) !== undefined)
    throw new StatusError("ALREADY_EXISTS", `${backup} is complete in the bucket already; nothing is overwritten`);
  if (isOwn) {
    const summary = await readBack(found, objects, signal);
    if (summary !== undefined) return fileOf(found, shard, summary);
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

/** The source, ended only after the lease was renewed: its end is what finishes the object. */
async function* lastAfter(source: AsyncIterable<Uint8Array>, renew: () => Promise<void>): AsyncGenerator<Uint8Array> {
  yield* source;
  await renew();
}

function fileOf(stored: ObjectInfo, shard: number, summary: RdbSummary | undefined): BackupFile {
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
    ...origin,
    snapshotEndTime: createTime,
  };
}
