import type { FileIndex } from "./file-index.ts";
import type { LoadedFile, PartResult, RestorePart, RestorePlan } from "./operation.ts";

/** The plan is one document: with so many parts at most, or two for each file where that is more, it has well below 1 MiB. */
const mostParts = 1_000;

/** A part is no larger than this, 1 GiB, unless there would be too many: it is loaded within one delivery, also slowly. */
const largestPartBytes = 2 ** 30;

/** So many parts for each lane: with one for each, all would wait for the slowest. */
const partsOfLane = 4;

/** How many parts are loaded at once for each primary of the target, and at most, where nobody has said. */
const lanesOfPrimary = 4;
const mostLanes = 32;

/** How many parts are loaded at once into a target of so many shards. */
export const lanesInto = (shardCount: number): number => Math.min(mostLanes, lanesOfPrimary * shardCount);

/**
 * Cuts files into parts for so many lanes: neighbouring stretches of one file make one part, as large as the lanes and the length of the
 * plan ask for. A file without an index is one part. Files take turns, as those of a cluster's shards go to different nodes.
 */
export function partsOf(
  files: readonly { sizeBytes: number; index?: FileIndex | undefined }[],
  lanes: number,
): RestorePart[] {
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const leastBytes = totalBytes / Math.max(mostParts - files.length, files.length);
  const wantedBytes = Math.min(largestPartBytes, totalBytes / (partsOfLane * lanes));
  const parts = files.flatMap(({ index }, file) =>
    // Borders are where they are: a part that would be a little short of what is wanted is better than one of twice that.
    cut(index, Math.max(leastBytes, 0.75 * wantedBytes)).map((part, turn) => ({ turn, part: { file, ...part } })),
  );
  return parts.sort((a, b) => a.turn - b.turn).map(({ part }) => part);
}

function cut(index: FileIndex | undefined, leastBytes: number): Omit<RestorePart, "file">[] {
  if (index === undefined) return [{}];
  const { borders, crc64: last, sizeBytes } = index;
  const start = { offset: 0, database: 0, crc64: "0".repeat(16) };
  const cuts = [start];
  for (const border of borders) {
    const isFar = border.offset - (cuts.at(-1) ?? start).offset >= leastBytes;
    // What is left behind it is a part of its own only if that is worth its messages.
    if (isFar && sizeBytes - border.offset >= leastBytes / 2) cuts.push(border);
  }
  if (cuts.length === 1) return [{}];
  return cuts.map(({ offset: startOffset, database, crc64: before }, n) => {
    const next = cuts[n + 1];
    const crc64 = { before, after: next?.crc64 ?? last };
    return { stretch: { startOffset, ...(next && { endOffset: next.offset }), database, crc64 } };
  });
}

/** What follows one part that was loaded. */
export interface Advance {
  plan: RestorePlan;
  /** The part to ask for in its place: each lane goes on by itself. */
  next?: number;
  /** Every part is loaded. */
  isComplete: boolean;
}

/** The plan with one more part loaded: results are summed for each file, so that the document stays small however many there are. */
export function advanced(plan: RestorePlan, result: PartResult): Advance {
  const file = plan.parts[result.part]?.file ?? 0;
  const { askedCount, loadedCount } = plan;
  const loaded = plan.loaded.some((sum) => sum.file === file)
    ? plan.loaded.map((sum) => (sum.file === file ? added(sum, result) : sum))
    : [...plan.loaded, added(nothing(file), result)];
  const hasNext = askedCount < plan.parts.length;
  return {
    plan: { ...plan, loaded, loadedCount: loadedCount + 1, askedCount: askedCount + (hasNext ? 1 : 0) },
    ...(hasNext && { next: askedCount }),
    isComplete: loadedCount + 1 === plan.parts.length,
  };
}

const nothing = (file: number): LoadedFile => ({
  file,
  databases: {},
  expiredKeys: 0,
  soonExpiredKeys: 0,
  functions: 0,
  sizeBytes: 0,
});

function added(sum: LoadedFile, part: PartResult): LoadedFile {
  const databases = { ...sum.databases };
  for (const [database, { keys, expires }] of Object.entries(part.databases)) {
    const before = databases[database] ?? { keys: 0, expires: 0 };
    databases[database] = { keys: before.keys + keys, expires: before.expires + expires };
  }
  return {
    file: sum.file,
    databases,
    expiredKeys: sum.expiredKeys + part.expiredKeys,
    soonExpiredKeys: sum.soonExpiredKeys + part.soonExpiredKeys,
    functions: sum.functions + part.functions,
    sizeBytes: sum.sizeBytes + part.sizeBytes,
  };
}
