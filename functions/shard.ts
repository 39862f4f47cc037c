import type { BackupFile, Instance } from "../shared/backup/backup.ts";
import { timeOf } from "../shared/backup/duration.ts";
import { fileName, fileObject } from "../shared/backup/name.ts";
import { StatusError } from "../shared/error.ts";
import type { ObjectInfo, Ports, ShardSource, ShardTask } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { sizeOf } from "../shared/pipeline/stream.ts";
import type { RdbIndex } from "../shared/rdb/border.ts";
import { checked } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import type { RdbSummary } from "../shared/rdb/summary.ts";
import { isOwn } from "./leftover.ts";
import { storeIndex } from "./shard-index.ts";

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

/** What reading a whole file tells. */
interface Verdict {
  summary: RdbSummary;
  index: RdbIndex;
}

/** What the object itself keeps of how its file came about: a later attempt that finds it there knows no more. */
type Origin = Omit<ShardSource, "node"> & Pick<BackupFile, "snapshotStartTime">;

/**
 * Streams one shard's RDB file from Valkey, checks it on the way, stores it whole or not at all. UNFINISHED: what was done is kept,
 * and the rest wants another delivery.
 */
export async function takeShard(taking: Taking, ports: Ports, signal: AbortSignal): Promise<BackupFile | "UNFINISHED"> {
  const { work, instance, task, onSource, onBytes } = taking;
  const { objects, valkey, clock, settings } = ports;
  const { borderBytes } = settings;
  const object = fileObject(work.data.backup, task.shard);
  const found = await objects.stat(settings.vaultBucket, object);
  const own = found && (await accept(found, taking, ports, signal));
  if (own !== undefined) return own;
  let verdict: Verdict | undefined;
  let origin: Origin = { snapshotStartTime: timeOf(clock.now()) };
  const stream = valkey.snapshot(instance, task, signal, (source) => {
    onSource(source);
    const { node: _, ...told } = source;
    origin = { ...told, ...origin };
  });
  const bytes = sizeOf(stream, onBytes);
  try {
    const first = await bytes.next(); // by now it is known of whom they are
    const onVerdict = (summary: RdbSummary, index: RdbIndex) => {
      assertWhole(summary, object);
      verdict = { summary, index };
    };
    const rdb = checked(from(first, bytes), onVerdict, { borderBytes });
    const metadata = { operation: work.operation, shard: String(task.shard), origin: JSON.stringify(origin) };
    const stored = await objects.create(settings.vaultBucket, object, lastAfter(rdb, work.renew), metadata, signal);
    return await fileOf(stored, taking, verdict, ports, signal);
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
  taking: Taking,
  ports: Ports,
  signal: AbortSignal,
): Promise<BackupFile | undefined> {
  const { work, task } = taking;
  if (await isOwn(found, { operation: work.operation, backup: work.data.backup, shard: task.shard }, ports)) {
    const verdict = await readBack(found, ports, signal);
    if (verdict !== undefined) return await fileOf(found, taking, verdict, ports, signal);
  }
  await work.renew();
  await ports.objects.remove(found);
  return undefined;
}

/** What reading the stored object tells; `undefined` if it is not a whole RDB file. */
async function readBack(
  found: ObjectInfo,
  { objects, settings: { borderBytes } }: Ports,
  signal: AbortSignal,
): Promise<Verdict | undefined> {
  let verdict: Verdict | undefined;
  const onVerdict = (summary: RdbSummary, index: RdbIndex) => {
    verdict = { summary, index };
  };
  try {
    for await (const _ of checked(objects.read(found, {}, signal), onVerdict, { borderBytes }));
    return verdict;
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

/** Keys of a slot on its way into the shard may be there in part, and are in another shard's file. */
function assertWhole({ slotImports }: RdbSummary, object: string): void {
  if (slotImports > 0)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `slots were moving into the shard of ${object}: take the backup once they have arrived`,
    );
}

/** The file as it was stored and read, its index stored beside it. */
async function fileOf(
  stored: ObjectInfo,
  { work, task: { shard, slots } }: Taking,
  verdict: Verdict | undefined,
  ports: Ports,
  signal: AbortSignal,
): Promise<BackupFile> {
  if (verdict === undefined || verdict.summary.sizeBytes !== stored.sizeBytes)
    throw new StatusError(
      "DATA_LOSS",
      `${stored.object} has ${stored.sizeBytes} bytes, ${verdict?.summary.sizeBytes} were read`,
    );
  const { createTime, generation, crc32c, metadata } = stored;
  const origin: Origin = metadata.origin === undefined ? {} : JSON.parse(metadata.origin);
  const index = await storeIndex(verdict.index, work, shard, ports, signal);
  return {
    fileName: fileName(shard),
    createTime,
    generation,
    crc32c,
    ...factsOf(verdict.summary),
    ...(slots !== undefined && { slots }),
    ...origin,
    snapshotEndTime: createTime,
    ...(index && { index }),
  };
}
