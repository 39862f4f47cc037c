import type { RecordSink } from "./passing.ts";
import { type Checkpoint, RdbReader, type Stretch } from "./reader.ts";

export type PassOptions = {
  /** Read only this part of a file: `source` must begin at its start and end at its end. */
  readonly stretch?: Stretch | undefined;
  /** How far checkpoints are apart, at least. */
  readonly checkpointBytes: number;
  /** Told at a record border, once everything before it was told to the sink and nothing behind it. */
  onCheckpoint(checkpoint: Checkpoint): void;
  /** Asked after every piece, once at least for so many bytes of the file: a promise if the sink wants to wait. */
  rest(): Promise<void> | undefined;
};

/** What is read before the sink may rest. */
export const pieceBytes = 65_536;

/**
 * Tells a sink all the records and functions of a file, for those that must be fast: `records` hands out entries instead. Values
 * longer than `limits.heldBytes` come without their bytes.
 *
 * Throws as `RdbReader` does, and only at the end for a wrong checksum: everything has been told then.
 */
export async function passRecords(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  sink: RecordSink,
  { stretch, checkpointBytes, onCheckpoint, rest }: PassOptions,
): Promise<void> {
  const reader = new RdbReader({ sink, stretch, checkpointBytes });
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      reader.write(chunk.subarray(at, at + pieceBytes));
      const checkpoint = reader.takeCheckpoint();
      if (checkpoint !== undefined) onCheckpoint(checkpoint);
      const resting = rest();
      if (resting !== undefined) await resting;
    }
  }
  reader.end();
}
