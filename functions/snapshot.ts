import type { Backup, BackupFile, Instance } from "../shared/backup/backup.ts";
import { fileName, fileObject, manifestObject } from "../shared/backup/name.ts";
import { isComplete, withFile } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import { isGoingOn } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Ports } from "../shared/pipeline/ports.ts";
import { step, type Work } from "../shared/pipeline/step.ts";
import { sizeOf } from "../shared/pipeline/stream.ts";
import { checked } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import type { RdbSummary } from "../shared/rdb/summary.ts";

type Shard = Work<"shard.v1.requested">;

/** Streams one shard's RDB file from Valkey, checks it on the way, stores it whole or not at all. */
export const snapshot = step<"shard.v1.requested", BackupFile>({
  on: "shard.v1.requested",

  async run(work, ports, signal) {
    const { backup, instance, shard } = work.data;
    const { objects, store, valkey, settings } = ports;
    const object = fileObject(backup, shard);
    const found = await objects.stat(settings.vaultBucket, object);
    const own = found && (await accept(found, work, ports, signal));
    if (own !== undefined) return own;
    const source = await store.get<Instance>(instance);
    if (source === undefined) throw new StatusError("NOT_FOUND", `${instance} was deleted meanwhile`);
    let summary: RdbSummary | undefined;
    const rdb = checked(sizeOf(valkey.snapshot(source.data, shard, signal), work.progress), (verdict) => {
      summary = verdict;
    });
    const metadata = { operation: work.operation, shard: String(shard) };
    const stored = await objects.create(settings.vaultBucket, object, lastAfter(rdb, work.renew), metadata, signal);
    return fileOf(stored, shard, summary);
  },

  async commit({ data: { backup } }, file, change) {
    const draft = await change.read<Backup>(backup);
    if (draft === undefined) throw new StatusError("ABORTED", `${backup} is gone`);
    const grown = withFile(draft, file);
    change.put(backup, grown);
    if (isComplete(grown)) change.ask("seal.v1.requested", { backup });
  },
});

/**
 * An object that is there already is accepted only if this Operation wrote it, and only after every byte was read again. Any other
 * is in the way: it is removed, unless a manifest says that it belongs to a backup.
 */
async function accept(
  found: ObjectInfo,
  work: Shard,
  { objects, store }: Ports,
  signal: AbortSignal,
): Promise<BackupFile | undefined> {
  const { backup, shard } = work.data;
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
  const { createTime, generation, crc32c } = stored;
  return { fileName: fileName(shard), createTime, generation, crc32c, ...factsOf(summary) };
}
