import type { KeyPattern } from "../../shared/backup/key-pattern.ts";
import {
  type ExpiryPolicy,
  restoredExpiry,
  type Selection,
  type SelectionMark,
} from "../../shared/backup/selection.ts";
import type { KeyRecord, Objects } from "../../shared/pipeline/ports.ts";
import type { RdbRecord } from "../../shared/rdb/entry.ts";
import { records } from "../../shared/rdb/records.ts";
import { ValueDigest } from "../../shared/rdb/value-digest.ts";

/** Bytes of keys and values that are held at once, and bytes of the file over which a group stretches, at most. */
const heldBytes = 8 * 2 ** 20;
const spanBytes = 256 * 2 ** 20;

/** One key of the backup that the pattern takes. */
export interface Match {
  file: number;
  record: RdbRecord;
}

/** What is compared and written in one go: the same, whenever it is read, for the same file, pattern and `keyCount`. */
export interface Group {
  /** None: only to tell how far the reading is. */
  matches: Match[];
  mark: SelectionMark;
}

/** The matching keys from a mark on, in groups of at most `keyCount`; where there are none, empty groups tell the way. */
export async function* groupsOf(
  { files, database, mark }: Selection,
  takes: KeyPattern,
  keyCount: number,
  objects: Objects,
  signal: AbortSignal,
): AsyncGenerator<Group> {
  for (const [file, found] of files.entries()) {
    if (file < mark.file) continue;
    const start = file === mark.file ? mark.offset : 0;
    const stretch = start === 0 ? undefined : { ...found, startOffset: start, db: mark.database };
    let matches: Match[] = [];
    let bytes = 0;
    let at: SelectionMark = { file, offset: start, database: start === 0 ? 0 : mark.database };
    for await (const batch of records(objects.read(found, { start, fleeting: true }, signal), { stretch })) {
      for (const entry of batch) {
        if (entry.kind !== "record") continue;
        const from = matches[0]?.record.offset ?? entry.offset;
        const isFull = matches.length === keyCount || bytes > heldBytes || entry.offset - from > spanBytes;
        if (isFull && matches.length > 0) {
          yield { matches, mark: at };
          matches = [];
          bytes = 0;
        }
        at = { file, offset: entry.valueEnd, database: entry.db };
        if (entry.db !== database || !takes(entry.key)) continue;
        matches.push({ file, record: kept(entry) });
        bytes += entry.key.length + (entry.value?.length ?? 0);
      }
      if (matches.length === 0) yield { matches, mark: at };
    }
    yield { matches, mark: { file: file + 1, offset: 0, database: 0 } };
  }
}

/** A copy: a view would keep the whole chunk in memory. */
const kept = (record: RdbRecord): RdbRecord => ({
  ...record,
  key: Uint8Array.from(record.key),
  value: record.value && Uint8Array.from(record.value),
});

/** A key as it is to be in the target; `undefined` where its time has passed. Large values are read again, by range. */
export async function wantedOf(
  { file, record }: Match,
  { files }: Selection,
  policy: ExpiryPolicy,
  times: { request: number; now: number },
  objects: Objects,
  signal: AbortSignal,
): Promise<KeyRecord | undefined> {
  const source = files[file];
  const snapshot = Date.parse(source?.snapshotTime ?? "");
  const expireTimeMs = restoredExpiry(record.expireTimeMs, policy, { ...times, snapshot });
  if (source === undefined || expireTimeMs === undefined) return undefined;
  const { type, value: held, valueStart: start, valueEnd: end, idleSeconds, freq } = record;
  const value = (reading: AbortSignal) =>
    held === undefined ? objects.read(source, { start, end, fleeting: true }, reading) : [held];
  const digest = new ValueDigest(type, source.magic);
  for await (const piece of value(signal)) digest.update(piece);
  const state = { digest: digest.hex(), expireTimeMs };
  return { magic: source.magic, type, state, idleSeconds, freq, valueBytes: end - start, value };
}
