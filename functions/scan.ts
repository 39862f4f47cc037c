import { timeOf } from "../shared/backup/duration.ts";
import { segmentFolder, segmentName } from "../shared/backup/name.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { ObjectInfo, Ports, ScanMark, ShardSource } from "../shared/pipeline/ports.ts";
import { lastAfter, sizeOf } from "../shared/pipeline/stream.ts";
import { encodeRemark } from "../shared/rdb/remark.ts";
import { type Course, courseOf, joined, readAcross, removeSegments, segmentsOf } from "./segments.ts";
import { reading, type Taking } from "./taking.ts";

/** How long a delivery scans. */
const usualSeconds = 400;

/** Or until so little of its time is left: the last values, the end of the upload, and the join want to come through. */
const reserveMs = 100_000;

/** Half of what was measured; a scan is bound by the server, and by what lies between. */
const usualKeysPerSecond = 75_000;

const usualBytesPerSecond = 20e6;

/**
 * Scans one shard in segments, each stored whole or not at all, as many as it takes deliveries: pieces of one RDB file, of which all
 * but the last end with a remark of where to go on. The last one is followed by the join. UNFINISHED: the rest wants another
 * delivery. The segments stay: they go when the backup is sealed.
 */
export async function scanInSegments(
  taking: Taking,
  ports: Ports,
  signal: AbortSignal,
): Promise<ObjectInfo | "UNFINISHED"> {
  const begun = await courseOf(await segmentsOf(taking, ports, signal), ports, signal);
  const course = begun?.isWhole ? begun : await goOn(begun, taking, ports, signal);
  return course.isWhole ? await joined(course, taking, ports, signal) : "UNFINISHED";
}

/**
 * Whether a shard is scanned at once, without segments: it is small, and this is the first attempt. What looks small and is not
 * fails, and is scanned in segments then.
 */
export async function fitsDelivery(taking: Taking, ports: Ports, signal: AbortSignal): Promise<boolean> {
  const { work, instance } = taking;
  if (work.attempt > 1) return false;
  if (work.data.round !== undefined && (await segmentsOf(taking, ports, signal)).length > 0) return false;
  const { databases, usedMemoryBytes, shards = [] } = await taking.describe(signal);
  const keys = Object.values(databases).reduce((sum, database) => sum + database.keys, 0);
  const { maxKeysPerSecond = Number.POSITIVE_INFINITY } = instance;
  const seconds = keys / Math.min(usualKeysPerSecond, maxKeysPerSecond) + usedMemoryBytes / usualBytesPerSecond;
  // A cluster tells its sums: shards are about equally large.
  const ofShard = seconds / Math.max(1, shards.length);
  return 4 * ofShard < (ports.settings.scanSeconds ?? usualSeconds);
}

/** Asked from now on, whether it is time to stop. */
function timer({ timeLeft }: Taking["work"], { scanSeconds = usualSeconds }: Ports["settings"]): () => boolean {
  const end = Math.max(reserveMs, timeLeft() - 1000 * scanSeconds);
  return () => timeLeft() < end;
}

/** The whole file of a small shard. ABORTED: it is not small. */
export async function* scanWhole(
  { work, instance, task }: Taking,
  { valkey, settings }: Ports,
  signal: AbortSignal,
  onSource: (source: ShardSource) => void,
): AsyncGenerator<Uint8Array> {
  let mark: ScanMark | undefined;
  const options = {
    isTimeUp: timer(work, settings),
    onEnd(reached: ScanMark | undefined) {
      mark = reached;
    },
  };
  yield* valkey.scan(instance, task, options, signal, onSource);
  if (mark !== undefined)
    throw new StatusError("ABORTED", `shard ${task.shard} took longer than expected: it is scanned in segments`);
}

/** One segment more. A scan that cannot be gone on with is void: another one begins in its place. */
async function goOn(begun: Course | undefined, taking: Taking, ports: Ports, signal: AbortSignal): Promise<Course> {
  let isVoid = false;
  const heard = (error: unknown) => {
    isVoid = begun !== undefined && asStatusError(error).code === "ABORTED";
  };
  try {
    return await withSegment(begun ?? freshCourse(ports), heard, taking, ports, signal);
  } catch (error) {
    if (!isVoid || begun === undefined) throw error;
    ports.log("WARNING", "scan begun anew", { task: taking.work.data.backup, reason: asStatusError(error).message });
    await taking.work.renew();
    await removeSegments(begun.segments, ports);
    return await withSegment(freshCourse(ports), () => undefined, taking, ports, signal);
  }
}

const freshCourse = ({ clock }: Ports): Course => ({
  scan: timeOf(clock.now()).replaceAll(/[-:.]/g, ""),
  segments: [],
  isWhole: false,
});

async function withSegment(
  { scan, segments, from }: Course,
  onFailure: (error: unknown) => void,
  taking: Taking,
  ports: Ports,
  signal: AbortSignal,
): Promise<Course> {
  const { work, instance, task, onBytes } = taking;
  const { objects, valkey, settings } = ports;
  let mark: ScanMark | undefined;
  const options = {
    ...(from !== undefined && { from }),
    written: (range: { start: number; end: number }) => readAcross(segments, range, ports, signal),
    isTimeUp: timer(work, settings),
    onEnd(reached: ScanMark | undefined) {
      mark = reached;
    },
  };
  async function* segment(): AsyncGenerator<Uint8Array> {
    try {
      yield* reading(taking, ports, signal, (onSource) => valkey.scan(instance, task, options, signal, onSource));
    } catch (error) {
      onFailure(error);
      throw error;
    }
    if (mark !== undefined) yield encodeRemark(JSON.stringify(mark));
  }
  const before = from?.offset ?? 0;
  const bytes = sizeOf(segment(), (doneBytes) => onBytes(before + doneBytes));
  const object = segmentFolder(work.data.backup, task.shard) + segmentName(scan, segments.length);
  const metadata = { operation: work.operation, shard: String(task.shard) };
  const stored = await objects.create(settings.vaultBucket, object, lastAfter(bytes, work.renew), metadata, signal);
  return { scan, segments: [...segments, stored], isWhole: mark === undefined };
}
