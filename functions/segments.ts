import { timeOf } from "../shared/backup/duration.ts";
import { fileObject, segmentFolder, segmentName } from "../shared/backup/name.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { ObjectInfo, Ports, ScanMark, ShardSource } from "../shared/pipeline/ports.ts";
import { collect, lastAfter, sizeOf } from "../shared/pipeline/stream.ts";
import { crc64 } from "../shared/rdb/crc64.ts";
import { decodeRemark, encodeRemark, remarkBytes } from "../shared/rdb/remark.ts";
import { type Origin, reading, type Taking } from "./shard.ts";

/** How long a delivery scans. */
const usualSeconds = 400;

/** Or until so little of its time is left: the last values, the end of the upload, and the join want to come through. */
const reserveMs = 100_000;

/** Half of what was measured; a scan is bound by the server, and by what lies between. */
const usualKeysPerSecond = 75_000;
const usualBytesPerSecond = 20e6;

/** https://cloud.google.com/storage/quotas#objects */
const mostSources = 32;

/** A scan that has stored so much already. */
interface Course {
  /** When it began: `20260101T020000000Z`. */
  scan: string;
  segments: ObjectInfo[];
  /** Where it goes on; absent: at its beginning, or nowhere, where `isWhole`. */
  from?: ScanMark;
  isWhole: boolean;
}

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
  const { databases, usedMemoryBytes } = await ports.valkey.describe(instance, signal);
  const keys = Object.values(databases).reduce((sum, database) => sum + database.keys, 0);
  const { maxKeysPerSecond = Number.POSITIVE_INFINITY } = instance;
  const seconds = keys / Math.min(usualKeysPerSecond, maxKeysPerSecond) + usedMemoryBytes / usualBytesPerSecond;
  return 4 * seconds < (ports.settings.scanSeconds ?? usualSeconds);
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

/**
 * The newest scan of which every segment is there, as far as they tell. Others are passed over: an older one that a bucket kept, and
 * what is left of one whose removal came to no end.
 */
async function courseOf(found: ObjectInfo[], ports: Ports, signal: AbortSignal): Promise<Course | undefined> {
  const isUnbroken = (scan: string, segments: ObjectInfo[]) =>
    segments.every(({ object }, number) => object.endsWith(`/${segmentName(scan, number)}`));
  const [scan, segments] =
    [...Map.groupBy(found, scanOf)].sort().findLast(([name, pieces]) => isUnbroken(name, pieces)) ?? [];
  const last = segments?.at(-1);
  if (scan === undefined || segments === undefined || last === undefined) return undefined;
  const start = Math.max(0, last.sizeBytes - remarkBytes);
  const tail = await collect(ports.objects.read(last, { start }, signal));
  const text = decodeRemark(tail);
  if (text === undefined) return { scan, segments, isWhole: true };
  const mark: ScanMark = JSON.parse(text);
  const offset = mark.offset + remarkBytes;
  const total = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (offset !== total)
    throw new StatusError("DATA_LOSS", `${last.object} ends at byte ${offset} of its file, the segments have ${total}`);
  const crc = crc64(tail, BigInt(`0x${mark.crc64}`))
    .toString(16)
    .padStart(16, "0");
  return { scan, segments, from: { ...mark, offset, crc64: crc }, isWhole: false };
}

/** One object of all, by as many steps as it takes. A step that was done before is found. */
async function joined(course: Course, { work, task }: Taking, ports: Ports, signal: AbortSignal): Promise<ObjectInfo> {
  const { objects, settings } = ports;
  const bucket = settings.vaultBucket;
  const metadata = { operation: work.operation, shard: String(task.shard) };
  let rest = course.segments;
  for (let step = 0; rest.length > mostSources; step++) {
    const name = segmentName(`${course.scan}-joined`, step);
    const object = segmentFolder(work.data.backup, task.shard) + name;
    const part = await objects
      .compose(rest.slice(0, mostSources), { bucket, object }, metadata, signal)
      .catch(async (error) => {
        const there = asStatusError(error).code === "ABORTED" ? await objects.stat(bucket, object) : undefined;
        if (there === undefined) throw error;
        return there;
      });
    rest = [part, ...rest.slice(mostSources)];
  }
  await work.renew();
  const to = { bucket, object: fileObject(work.data.backup, task.shard) };
  return await objects.compose(rest, to, { ...metadata, origin: JSON.stringify(originOf(course)) }, signal);
}

/** What is known of a file that was scanned in segments. */
function originOf({ scan, segments }: Course): Origin {
  const [, date = "", hours, minutes, seconds, milliseconds] = /^(\d{8})T(\d\d)(\d\d)(\d\d)(\d{3})Z$/.exec(scan) ?? [];
  const last = segments.at(-1);
  const day = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}`;
  return {
    consistency: "FUZZY",
    snapshotStartTime: `${day}T${hours}:${minutes}:${seconds}.${milliseconds}Z`,
    ...(last !== undefined && { snapshotEndTime: last.createTime }),
  };
}

/** Those of this Operation, in the order of their scans and numbers. */
export async function segmentsOf({ work, task }: Taking, ports: Ports, signal: AbortSignal): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  const folder = segmentFolder(work.data.backup, task.shard);
  for await (const segment of ports.objects.list(ports.settings.vaultBucket, folder)) {
    signal.throwIfAborted();
    if (segment.metadata.operation === work.operation && /Z-\d{4}$/.test(segment.object)) found.push(segment);
  }
  return found;
}

const scanOf = ({ object }: ObjectInfo): string => /([\dTZ]+)-\d{4}$/.exec(object)?.[1] ?? "";

/** Removes segments that are of no use any more. One that the bucket keeps is passed over: it goes with the backup. */
export async function removeSegments(segments: Iterable<ObjectInfo> | AsyncIterable<ObjectInfo>, ports: Ports) {
  for await (const segment of segments)
    try {
      await ports.objects.remove(segment);
    } catch (error) {
      if (asStatusError(error).code !== "FAILED_PRECONDITION") throw error;
      ports.log("INFO", "segment kept by its bucket", { object: segment.object });
    }
}

/** A range of the file that the segments are pieces of. */
async function* readAcross(
  segments: readonly ObjectInfo[],
  { start, end }: { start: number; end: number },
  { objects }: Ports,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (const segment of segments) {
    const range = { start: Math.max(0, start - offset), end: Math.min(segment.sizeBytes, end - offset) };
    if (range.start < range.end) yield* objects.read(segment, range, signal);
    offset += segment.sizeBytes;
  }
}
