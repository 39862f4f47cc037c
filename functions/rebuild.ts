import { isDeepStrictEqual } from "node:util";
import type { Backup, BackupCollection } from "../shared/backup/backup.ts";
import { added, emptyCollection, type Totals } from "../shared/backup/collection.ts";
import { timeOf } from "../shared/backup/duration.ts";
import { parseBackupName, parseObjectName } from "../shared/backup/name.ts";
import type { Operation } from "../shared/backup/operation.ts";
import { toReview } from "../shared/backup/review.ts";
import { unmarked } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { pageAfter } from "../shared/pipeline/pages.ts";
import type { Doc, ObjectInfo, Ports } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";
import { totalsOf } from "../shared/pipeline/totals.ts";
import { backupOf, isDisagreement } from "../shared/pipeline/vault.ts";
import { walkVault } from "../shared/pipeline/walk.ts";

/** What one page of the vault came to. */
interface Page {
  /** Those without a document, as their manifests tell of them. */
  missing: Backup[];
  /** Those that have one. */
  present: Backup[];
  refused: number;
  /** Objects of other names than ours. */
  foreign: number;
  /** Where the next page begins. */
  next: string | undefined;
}

/** Characters of backups that one commit puts down at most: Firestore takes 10 MiB. */
const pageLength = 4_000_000;

/** Collections whose backups one message counts. */
const recountSize = 20;

/**
 * Puts down what is missing of the catalogue, from the manifests in the vault alone, page by page. What is there is never
 * overwritten, and no manifest is believed that does not agree with the bucket.
 */
export const rebuild = step<"rebuild.v1.requested", Page>({
  on: "rebuild.v1.requested",
  goesOn: true,

  async run({ data: { startOffset }, operation }, ports, signal) {
    const page: Page = { missing: [], present: [], refused: 0, foreign: 0, next: undefined };
    let length = 0;
    page.next = await walkVault(ports, "backupCollections/", startOffset, signal, async (found) => {
      const place = parseObjectName(found.object);
      if (place === undefined) page.foreign++;
      if (place === undefined || place.shard !== undefined) return undefined;
      // The document first: an erasure takes the manifest before it, so a manifest that is read after it still stands.
      const doc = await ports.store.get<Backup>(place.backup);
      const backup = doc?.data ?? (await lostBackup(found, operation, ports, signal));
      if (backup === undefined) page.refused++;
      else (doc === undefined ? page.missing : page.present).push(backup);
      length += backup === undefined ? 0 : JSON.stringify(backup).length;
      return length > pageLength ? "full" : undefined;
    });
    return page;
  },

  async commit({ data: { page: number = 0 } }, { missing, present, refused, foreign, next }, change) {
    let rebuilt = 0;
    for (const backup of present) if ((await change.read(backup.name)) !== undefined) await holderOf(change, backup);
    for (const backup of missing) if (await takeOver(change, backup)) rebuilt++;
    const page = { rebuilt, present: present.length + missing.length - rebuilt, refused, foreign };
    change.operation.response = summed(change.operation, page);
    if (next !== undefined) change.ask("rebuild.v1.requested", { startOffset: next, page: number + 1 }, number + 1);
    else change.ask("recount.v1.requested", { page: 0 }, 0);
  },
});

/** Brings the totals of the collections in line with their backups, page by page. */
export const recount = step<"recount.v1.requested", { seen: Doc<BackupCollection>[]; totals: Totals[] }>({
  on: "recount.v1.requested",

  async run({ data: { after } }, { store }, signal) {
    const seen = await pageAfter<BackupCollection>(store, { collection: "backupCollections" }, after, recountSize);
    const totals: Totals[] = [];
    for (const { path } of seen) totals.push(await totalsOf(path, store, signal));
    return { seen, totals };
  },

  async commit({ data: { page } }, { seen, totals }, change) {
    let recounted = 0;
    for (const [n, { path, data }] of seen.entries()) {
      const found = await change.read<BackupCollection>(path);
      // Whoever adds or takes a backup writes its collection: an equal one has been counted right.
      if (!isDeepStrictEqual(found, data)) throw new StatusError("ABORTED", `${path} changed while it was counted`);
      const right = { ...data, ...totals[n] };
      if (isDeepStrictEqual(right, data)) continue;
      change.put(path, right);
      recounted++;
    }
    change.operation.response = summed(change.operation, { recounted });
    const after = seen.at(-1)?.path;
    if (after === undefined || seen.length < recountSize) return await change.end();
    change.ask("recount.v1.requested", { after, page: page + 1 }, page + 1);
  },
});

/** The backup of a manifest that has no document; `undefined`, and a line in the log, where it is not taken over. */
async function lostBackup(
  manifest: ObjectInfo,
  operation: string,
  ports: Ports,
  signal: AbortSignal,
): Promise<Backup | undefined> {
  const reader = { operation, now: timeOf(ports.clock.now()) };
  try {
    return await backupOf(manifest, ports, reader, signal);
  } catch (error) {
    if (!isDisagreement(error)) throw error;
    ports.log("WARNING", "not taken over", { object: manifest.object, reason: error.message });
    return undefined;
  }
}

/**
 * Puts down a backup that is missing, and counts it: a collection that seems empty may be removed before all are counted anew.
 * `false` where it is there by now.
 */
async function takeOver(change: Change, backup: Backup): Promise<boolean> {
  if ((await change.read(backup.name)) !== undefined) return false;
  change.put(backup.name, backup);
  const holder = unmarked(await holderOf(change, backup));
  const createTime = backup.createTime < holder.createTime ? backup.createTime : holder.createTime;
  const grown = { ...holder, ...added(holder, backup), createTime };
  change.put(holder.name, holder.keepsExpired ? toReview(grown, change.now) : grown);
  return true;
}

/** The collection of a backup, put down where it is missing; its totals are counted anew once every backup is there. */
async function holderOf(change: Change, backup: Backup): Promise<BackupCollection> {
  const { collection } = parseBackupName(backup.name);
  const found = await change.read<BackupCollection>(collection);
  if (found !== undefined) return found;
  const fresh = emptyCollection(backup, backup.createTime);
  change.put(collection, fresh);
  return fresh;
}

/** The Operation's counts so far with those of one more page. */
function summed({ response = {} }: Operation, page: Record<string, number>): Record<string, number> {
  const sums = Object.entries({ ...response, ...page }).map(([name]) => [
    name,
    Number(response[name] ?? 0) + (page[name] ?? 0),
  ]);
  return Object.fromEntries(sums);
}
