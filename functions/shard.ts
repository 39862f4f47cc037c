import type { BackupFile, Instance } from "../shared/backup/backup.ts";
import { timeOf } from "../shared/backup/duration.ts";
import { fileName, fileObject } from "../shared/backup/name.ts";
import { ReplicationRefused, StatusError } from "../shared/error.ts";
import type { ObjectInfo, Ports, ShardSource, ShardTask } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { lastAfter, sizeOf } from "../shared/pipeline/stream.ts";
import type { RdbIndex } from "../shared/rdb/border.ts";
import { checked } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import type { RdbSummary } from "../shared/rdb/summary.ts";
import { isOwn } from "./leftover.ts";
import { fitsDelivery, removeSegments, scanInSegments, scanWhole, segmentsOf } from "./segments.ts";
import { storeIndex } from "./shard-index.ts";

/** One shard of a lane. */
export interface Taking {
  work: Work<"shard.v1.requested">;
  instance: Instance;
  task: ShardTask;
  /** Hears which node broke down while it was read. */
  onBroken(node: string): void;
  /** Hears how many bytes of this shard have passed. */
  onBytes(doneBytes: number): void;
}

/** What reading a whole file tells. */
interface Verdict {
  summary: RdbSummary;
  index: RdbIndex;
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
    const file = await store(taking, ports, signal, {}, (onSource) =>
      valkey.snapshot(instance, task, signal, onSource),
    );
    // It may have been scanned before, while replication was refused.
    const isFirst = work.attempt === 1 && work.data.round === undefined;
    if (!isFirst) await removeSegments(await segmentsOf(taking, ports, signal), ports);
    return file;
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

/** Begins to read, and says of whom. */
type Open = (onSource: OnSource) => AsyncIterable<Uint8Array>;

/** Stores what is opened, checked on the way. */
async function store(
  taking: Taking,
  ports: Ports,
  signal: AbortSignal,
  method: Pick<BackupFile, "consistency">,
  open: Open,
): Promise<BackupFile> {
  const { work, task, onBytes } = taking;
  const { objects, clock, settings } = ports;
  const { borderBytes } = settings;
  const object = fileObject(work.data.backup, task.shard);
  let verdict: Verdict | undefined;
  let origin: Origin = { ...method, snapshotStartTime: timeOf(clock.now()) };
  const stream = reading(taking, ports, signal, open, (told) => {
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

/** The shard's bytes. Who breaks down on the way is told apart from a bucket that takes no more. */
export async function* reading(
  { work, task, onBroken }: Taking,
  { log }: Ports,
  signal: AbortSignal,
  open: Open,
  onOrigin: (origin: Omit<ShardSource, "node">) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  let source: ShardSource | undefined;
  try {
    yield* open(({ node, ...origin }) => {
      source = { ...origin, ...(node !== undefined && { node }) };
      log("INFO", "reading", { backup: work.data.backup, shard: task.shard, node, role: origin.sourceRole });
      onOrigin(origin);
    });
  } catch (error) {
    if (source === undefined || signal.aborted || !(error instanceof StatusError)) throw error;
    if (source.node !== undefined) onBroken(source.node);
    const message = `shard ${task.shard}, read from a ${source.sourceRole}: ${error.message}`;
    throw new StatusError(error.code, message, { cause: error });
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
    snapshotEndTime: createTime,
    ...origin,
    ...(index && { index }),
  };
}
