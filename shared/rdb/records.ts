import type { RdbEntry } from "./entry.ts";
import { RdbReader, type Stretch } from "./reader.ts";
import type { RdbSummary } from "./summary.ts";

export type RecordsOptions = {
  /** Values longer than this come without their bytes, to be read again by range; 8 MiB unless told otherwise. */
  readonly limitBytes?: number;
  /** Read only this part of a file: `source` must begin at its start and end at its end. */
  readonly stretch?: Stretch | undefined;
  /** Told once everything was read and found whole. */
  readonly onSummary?: (summary: RdbSummary) => void;
};

/**
 * The keys and functions of a file in the order of the file, as one batch for each chunk that completed any. Keys, values
 * and code may be views of the chunk just read: they are valid until the next batch is asked for, if the source reuses
 * its buffers, and as long as they are referenced if it does not.
 *
 * Throws as `RdbReader` does, and only at the end for a wrong checksum: entries before that have been handed out then.
 */
export async function* records(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { limitBytes, stretch, onSummary }: RecordsOptions = {},
): AsyncGenerator<RdbEntry[], void, undefined> {
  const reader = new RdbReader({ entries: true, stretch, ...(limitBytes === undefined ? {} : { limitBytes }) });
  for await (const chunk of source) {
    reader.write(chunk);
    const entries = reader.takeEntries();
    if (entries.length > 0) yield entries;
  }
  const summary = reader.end();
  onSummary?.(summary);
}
