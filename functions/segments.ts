import { fileObject, segmentFolder, segmentName } from "../shared/backup/name.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { ObjectInfo, Ports, ScanMark } from "../shared/pipeline/ports.ts";
import { collect } from "../shared/pipeline/stream.ts";
import { crc64 } from "../shared/rdb/crc64.ts";
import { decodeRemark, remarkBytes } from "../shared/rdb/remark.ts";
import type { Origin, Taking } from "./taking.ts";

/** https://cloud.google.com/storage/quotas#objects */
const mostSources = 32;

/** A scan that has stored so much already. */
export interface Course {
  /** When it began: `20260101T020000000Z`. */
  scan: string;
  segments: ObjectInfo[];
  /** Where it goes on; absent: at its beginning, or nowhere, where `isWhole`. */
  from?: ScanMark;
  isWhole: boolean;
}

/**
 * The newest scan of which every segment is there, as far as they tell. Others are passed over: an older one that a bucket kept, and
 * what is left of one whose removal came to no end.
 */
export async function courseOf(found: ObjectInfo[], ports: Ports, signal: AbortSignal): Promise<Course | undefined> {
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
export async function joined(
  course: Course,
  { work, task }: Taking,
  ports: Ports,
  signal: AbortSignal,
): Promise<ObjectInfo> {
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
export async function* readAcross(
  segments: readonly ObjectInfo[],
  { start, end }: { start: number; end: number },
  { objects }: Ports,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (const segment of segments) {
    const range = { start: Math.max(0, start - offset), end: Math.min(segment.sizeBytes, end - offset) };
    if (range.start < range.end) yield* objects.read(segment, { ...range, fleeting: true }, signal);
    offset += segment.sizeBytes;
  }
}
