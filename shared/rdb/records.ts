import type { RdbEntry } from "./entry.ts";
import { type Checkpoint, RdbReader, type Stretch } from "./reader.ts";
import type { RdbSummary } from "./summary.ts";

export type RecordsOptions = {
  /** Values longer than this come without their bytes, to be read again by range; 8 MiB unless told otherwise. */
  readonly limitBytes?: number;
  /** Read only this part of a file: `source` must begin at its start and end at its end. */
  readonly stretch?: Stretch | undefined;
  /** How far checkpoints are apart, at least. */
  readonly checkpointBytes?: number | undefined;
  /** Told at a record border, once everything before it was handed out and nothing behind it. */
  readonly onCheckpoint?: (checkpoint: Checkpoint) => void;
  /** Told once everything was read and found whole. */
  readonly onSummary?: (summary: RdbSummary) => void;
};

/**
 * How many entries there should be at a time: so few die within a young generation of 1 MB. Those of a large chunk outlive it,
 * and collecting them takes a fourth of a load's time.
 */
const fewEntries = 32;

/** Bounds of what is read at once to get so many; what is cut by its end has to be copied. */
const leastBytes = 4_096;
const mostBytes = 1_048_576;

/**
 * The keys and functions of a file in the order of the file, in batches. Keys, values and code may be views of the chunk
 * just read: they are valid until the next batch is asked for, if the source reuses its buffers, and as long as they are
 * referenced if it does not.
 *
 * Throws as `RdbReader` does, and only at the end for a wrong checksum: entries before that have been handed out then.
 */
export async function* records(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { limitBytes, stretch, checkpointBytes, onCheckpoint, onSummary }: RecordsOptions = {},
): AsyncGenerator<RdbEntry[], void, undefined> {
  const limit = limitBytes === undefined ? {} : { limitBytes };
  const reader = new RdbReader({ entries: true, stretch, checkpointBytes, ...limit });
  let pieceBytes = 2 * leastBytes;
  for await (const chunk of source) {
    // A Buffer makes its views of Buffers, which take four times as long.
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < bytes.length; ) {
      reader.write(bytes.subarray(at, at + pieceBytes));
      at += pieceBytes;
      const entries = reader.takeEntries();
      if (entries.length > 2 * fewEntries) pieceBytes = Math.max(leastBytes, pieceBytes / 2);
      else if (entries.length < fewEntries / 2) pieceBytes = Math.min(mostBytes, pieceBytes * 2);
      if (entries.length > 0) yield entries;
      const checkpoint = reader.takeCheckpoint();
      if (checkpoint !== undefined) onCheckpoint?.(checkpoint);
    }
  }
  const summary = reader.end();
  onSummary?.(summary);
}
