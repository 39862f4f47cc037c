import type { BackupFile } from "../shared/backup/backup.ts";
import { timeOf } from "../shared/backup/duration.ts";
import { fileName, fileObject, parseInstanceName } from "../shared/backup/name.ts";
import { slotOutside } from "../shared/backup/slots.ts";
import { asStatusError, ReplicationRefused, StatusError } from "../shared/error.ts";
import type { ObjectInfo, Ports, ShardTask } from "../shared/pipeline/ports.ts";
import { lastAfter, sizeOf } from "../shared/pipeline/stream.ts";
import type { RdbIndex } from "../shared/rdb/border.ts";
import { checked } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import type { RdbSummary } from "../shared/rdb/summary.ts";
import { isOwn } from "./leftover.ts";
import { fitsDelivery, scanInSegments, scanWhole } from "./scan.ts";
import { removeSegments, segmentsOf } from "./segments.ts";
import { storeIndex } from "./shard-index.ts";
import { type OnSource, type Open, type Origin, reading, type Taking } from "./taking.ts";

/** What reading a whole file tells. */
interface Verdict {
  summary: RdbSummary;
  index: RdbIndex;
}

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
    if (signal.aborted) throw tooLong(signal.reason, taking);
    if (!(error instanceof ReplicationRefused) || instance.snapshotMethod !== undefined) throw error;
    ports.log("INFO", "replication is refused, so it is scanned", { object, reason: error.message });
    try {
      return await scanned(taking, ports, signal);
    } catch (thrown) {
      throw asStatusError(thrown).code === "PERMISSION_DENIED" ? neither(error, asStatusError(thrown)) : thrown;
    }
  }
}

/** A file that comes in one piece starts over with each delivery: a shard that is too large for one is too large for all. */
function tooLong(reason: unknown, { instance: { name } }: Taking): unknown {
  const { code, message } = asStatusError(reason);
  if (code !== "DEADLINE_EXCEEDED") return reason;
  const advice = `a scan goes on where it was: valkeep instances update ${parseInstanceName(name)} --snapshot-method=scan`;
  return new StatusError(code, `${message}; ${advice}`, { cause: reason });
}

/** Whoever may do neither has most likely forgotten a right to the one that was tried first. */
const neither = ({ message }: StatusError, scan: StatusError): StatusError =>
  new StatusError("PERMISSION_DENIED", `${message}; nor may it be scanned: ${scan.message}`, { cause: scan });

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
      assertWhole(summary, task, object);
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
    for await (const _ of checked(objects.read(found, { fleeting: true }, signal), onVerdict, { borderBytes }));
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

/**
 * Keys of a slot on its way into the shard may be there in part, and are in another shard's file; those of a slot that is not its own
 * are remains of a move that came to nothing, and older than what the other file has.
 */
function assertWhole({ slotImports, slots }: RdbSummary, { shard, slots: own }: ShardTask, object: string): void {
  if (slotImports > 0)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `slots were moving into the shard of ${object}: take the backup once they have arrived`,
    );
  const stray = own === undefined ? undefined : slotOutside(slots, own);
  if (stray !== undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `shard ${shard} holds keys of slot ${stray}, which it does not serve: another shard's file would hold them too; ` +
        "CLUSTER GETKEYSINSLOT names them; after CLUSTER SETSLOT … IMPORTING and ASKING they can be deleted",
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
