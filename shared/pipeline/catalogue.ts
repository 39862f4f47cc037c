import type { Backup, BackupCollection } from "../backup/backup.ts";
import { capped } from "../backup/cap.ts";
import { parseBackupName } from "../backup/name.ts";
import { createCalendars } from "../backup/period.ts";
import { type Decision, decide, type Entry } from "../backup/retention.ts";
import { isGoingOn } from "./held.ts";
import { everyDocument } from "./pages.ts";
import type { Store } from "./ports.ts";

/** A collection, as it was read before its backups were. */
export interface Holder {
  collection: string;
  /** `undefined` where nobody has made its document. */
  holder: BackupCollection | undefined;
}

/** What is decided of each backup of a collection. */
export interface Review extends Holder {
  entries: Entry[];
  /** One for each entry, in their order. */
  decisions: Decision[];
}

/** What is due, in the order of the queries that find it: after it, an earlier page goes on. */
export interface Due {
  reviewTime: string;
  /** Of a backup, or of a collection. */
  name: string;
}

/**
 * The next `limit` of what a sweep has to look at: backups whose time has come, then collections that are to be decided anew.
 * It costs a read for each of them, however many exist.
 */
export async function dueAt(store: Store, now: string, limit: number, after?: Due): Promise<Due[]> {
  const isPast = after !== undefined && !after.name.includes("/backups/");
  const backups = isPast ? [] : await dueIn(store, { collection: "backups", group: true }, now, limit, after);
  if (backups.length === limit) return backups;
  const from = isPast ? after : undefined;
  return [...backups, ...(await dueIn(store, { collection: "backupCollections" }, now, limit - backups.length, from))];
}

async function dueIn(
  store: Store,
  where: { collection: string; group?: boolean },
  now: string,
  limit: number,
  after: Due | undefined,
): Promise<Due[]> {
  const found = await store.query<Backup | BackupCollection>({
    ...where,
    where: [["reviewTime", "<=", now]],
    orderBy: { field: "reviewTime", direction: "asc" },
    limit,
    ...(after && { after: { path: after.name, data: { reviewTime: after.reviewTime }, updateTime: "" } }),
  });
  return found.map(({ path, data }) => ({ name: path, reviewTime: data.reviewTime ?? "" }));
}

/** The collection that something due belongs to. */
export const collectionOf = ({ name }: Due): string =>
  name.includes("/backups/") ? parseBackupName(name).collection : name;

export interface ReviewOptions {
  now: string;
  turn?: number;
  calendars?: ReturnType<typeof createCalendars>;
}

/**
 * Decides every backup of one collection by its policy, under the cap of one sweep. The collection has been read first: who
 * finds it unchanged later knows that nothing has come into the catalogue since. `turn`: see `capped`; `calendars`: see `decide`.
 */
export async function review(
  store: Store,
  { collection, holder }: Holder,
  { now, turn = 0, calendars = createCalendars() }: ReviewOptions,
  signal: AbortSignal,
): Promise<Review> {
  const entries: Entry[] = [];
  for await (const { data } of everyDocument<Backup>(store, { collection: `${collection}/backups` }, signal))
    entries.push(entryOf(data));
  const createTimes = new Map(entries.map(({ name, createTime }) => [name, createTime]));
  const decided = decide(entries, holder?.retentionPolicy ?? {}, await inUse(store, entries), now, calendars);
  return { collection, holder, entries, decisions: capped(decided, createTimes, turn) };
}

/** A decision for every backup there is, collection by collection: for people. It reads everything. */
export async function* decideAll(store: Store, now: string, signal: AbortSignal): AsyncGenerator<Decision[]> {
  const calendars = createCalendars();
  const collections = everyDocument<BackupCollection>(store, { collection: "backupCollections" }, signal);
  for await (const { path, data } of collections)
    yield (await review(store, { collection: path, holder: data }, { now, calendars }, signal)).decisions;
}

/** Only what decides: a catalogue is held whole, and backups of many shards are large. */
function entryOf(backup: Backup): Entry {
  const { name, state, createTime, expireTime, verification, pins, reviewTime } = backup;
  const { hold, purgeTime, purgeStartTime, deferredUntil, deferredBy, backupFiles } = backup;
  return {
    ...{ name, state, createTime, expireTime, verification, pins },
    holdsKeys: backupFiles.some(({ keys }) => keys > 0),
    ...(reviewTime !== undefined && { reviewTime }),
    ...(hold !== undefined && { hold }),
    ...(purgeTime !== undefined && { purgeTime }),
    ...(purgeStartTime !== undefined && { purgeStartTime }),
    ...(deferredUntil !== undefined && { deferredUntil }),
    ...(deferredBy !== undefined && { deferredBy }),
  };
}

async function inUse(store: Store, catalogue: readonly Entry[]): Promise<Set<string>> {
  const used = new Set<string>();
  for (const { name, pins } of catalogue) for (const pin of pins) if (await isGoingOn(pin, store)) used.add(name);
  return used;
}
