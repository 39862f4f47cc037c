import { hexOf, isSameState, type KeyState } from "../../shared/backup/selection.ts";
import type { UndoEntry, UndoList } from "../../shared/backup/undo-list.ts";
import { StatusError } from "../../shared/error.ts";
import type { Exchange, KeyRecord, Ports } from "../../shared/pipeline/ports.ts";
import type { RdbRecord } from "../../shared/rdb/entry.ts";
import { records } from "../../shared/rdb/records.ts";
import type { LiveTarget } from "./target.ts";

/** Bytes of values that are held at once. */
const heldBytes = 8 * 2 ** 20;

/** What came of the keys; in a dry run what would. */
export interface Undone {
  /** Keys that were replaced and are as before. */
  restored: number;
  /** Keys that were created and are gone. */
  deleted: number;
  /** Nothing had to be done. */
  already: number;
  /** Somebody has changed them since: they stay as they are. */
  changed: number;
}

/** Before anything was taken back. */
export const nothing: Undone = { restored: 0, deleted: 0, already: 0, changed: 0 };

/** Counts added up. */
export const plus = (one: Undone, other: Undone): Undone => ({
  restored: one.restored + other.restored,
  deleted: one.deleted + other.deleted,
  already: one.already + other.already,
  changed: one.changed + other.changed,
});

/** What an undo would come to now. */
export async function foreseen(
  { entries }: UndoList,
  target: LiveTarget,
  now: number,
  force: boolean,
): Promise<Undone> {
  const undone = { ...nothing };
  const states = await target.states(entries.map(({ key }) => key));
  for (const [at, entry] of entries.entries()) {
    const there = states[at];
    const old = isOver(entry.old, now) ? undefined : entry.old;
    const isOurs = isSameState(there, entry.new) || (there === undefined && isOver(entry.new, now));
    if (isSameState(there, old)) undone.already++;
    else if (isOurs || force) undone[old === undefined ? "deleted" : "restored"]++;
    else undone.changed++;
  }
  return undone;
}

const isOver = (state: KeyState | undefined, now: number): boolean =>
  state !== undefined && state.expireTimeMs !== -1 && state.expireTimeMs <= now;

/** The changes that take a group back, so many at once as can be held. */
export async function* exchangesOf(
  { entries, rdb }: UndoList,
  force: boolean,
  ports: Ports,
  signal: AbortSignal,
): AsyncGenerator<Exchange[]> {
  const now = ports.clock.now();
  const from = (entry: UndoEntry) => (force ? ("ANY" as const) : entry.new);
  const gone = entries.filter(({ old }) => old === undefined || isOver(old, now));
  if (gone.length > 0) yield gone.map((entry) => ({ key: entry.key, from: from(entry), to: undefined }));
  if (rdb === undefined) return;
  const stays = new Map(entries.filter((entry) => !gone.includes(entry)).map((entry) => [hexOf(entry.key), entry]));
  let some: Exchange[] = [];
  let bytes = 0;
  const file = { bucket: ports.settings.vaultBucket, object: rdb.object, generation: rdb.generation };
  for await (const batch of records(ports.objects.read(file, { fleeting: true }, signal)))
    for (const record of batch) {
      const entry = record.kind === "record" ? stays.get(hexOf(record.key)) : undefined;
      if (entry !== undefined) stays.delete(hexOf(entry.key));
      if (record.kind !== "record" || entry?.old === undefined) continue;
      const held = record.value && Uint8Array.from(record.value);
      const read = (range: { start: number; end: number }, reading: AbortSignal) =>
        ports.objects.read(file, { ...range, fleeting: true }, reading);
      some.push({ key: entry.key, from: from(entry), to: recordOf(record, held, rdb.magic, entry.old, read) });
      bytes += held?.length ?? 0;
      if (bytes < heldBytes) continue;
      yield some;
      some = [];
      bytes = 0;
    }
  if (some.length > 0) yield some;
  if (stays.size > 0)
    throw new StatusError(
      "DATA_LOSS",
      `gs://${file.bucket}/${file.object} lacks ${stays.size} of the keys to put back`,
    );
}

function recordOf(
  { type, valueStart: start, valueEnd: end }: RdbRecord,
  held: Uint8Array | undefined,
  magic: KeyRecord["magic"],
  state: KeyState,
  read: (range: { start: number; end: number }, signal: AbortSignal) => AsyncIterable<Uint8Array>,
): KeyRecord {
  const value = (signal: AbortSignal) => (held === undefined ? read({ start, end }, signal) : [held]);
  return { magic, type, state, valueBytes: end - start, value };
}
