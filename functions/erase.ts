import type { Backup, BackupCollection } from "../shared/backup/backup.ts";
import { graceSeconds, timeOf } from "../shared/backup/duration.ts";
import { parseBackupName } from "../shared/backup/name.ts";
import { overruled, toReview } from "../shared/backup/review.ts";
import { counted, deferred, purging, tombstoned, undeleted, unmarked } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import type { Deferral } from "../shared/pipeline/deferral.ts";
import { existing } from "../shared/pipeline/existing.ts";
import { livePins, lockedBy } from "../shared/pipeline/held.ts";
import { isGone, keeperOf, removeObjects } from "../shared/pipeline/removal.ts";
import { step } from "../shared/pipeline/step.ts";

/** Whose objects were removed, and what keeps those that could not be. */
interface Removal {
  maker: string | undefined;
  deferral: Deferral | undefined;
}

/** Puts the tombstone: DELETING, to be undone until its `purgeTime`. */
export const deletion = step<"deletion.v1.requested">({
  on: "deletion.v1.requested",
  async commit({ data: { backup, grace, sweep } }, _, change) {
    const found = await existing(change, backup);
    if (sweep === undefined) await overrule(change, found);
    else await assertDecided(change, found, sweep);
    const dead = tombstoned(found, change.now, graceSeconds(grace), await livePins(found, change));
    const purgeTime = dead.purgeTime ?? change.now;
    change.put(backup, dead);
    change.say("backup.v1.expired", { backup, purgeTime });
    await change.end({ response: { backup, purgeTime } });
  },
});

/** A person takes a backup away: a sweep that counted on it may not take another one because of that. */
async function overrule(change: Change, { name }: Backup): Promise<void> {
  const { collection } = parseBackupName(name);
  const holder = await change.read<BackupCollection>(collection);
  if (holder !== undefined) change.put(collection, overruled(holder, change.now));
}

/** Refuses what a sweep asked for where that is no longer what a sweep would decide: it may come hours later. */
async function assertDecided(change: Change, { name, expireTime }: Backup, sweep: string): Promise<void> {
  if (expireTime > change.now)
    throw new StatusError("FAILED_PRECONDITION", `${name} expires at ${expireTime}: that was moved meanwhile`);
  const holder = await change.read<BackupCollection>(parseBackupName(name).collection);
  if (holder === undefined) return;
  // Written as it is: whoever overrules the sweep in the midst of this is met.
  if (holder.sweeping === sweep && holder.overruleTime === undefined) return change.put(holder.name, holder);
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${holder.name} has changed since ${sweep} decided it: the next sweep decides it anew`,
  );
}

/** Takes the tombstone away. */
export const undelete = step<"undelete.v1.requested">({
  on: "undelete.v1.requested",
  async commit({ data: { backup } }, _, change) {
    await keepCollection(change, parseBackupName(backup).collection);
    change.put(backup, undeleted(await existing(change, backup), change.now));
    change.say("backup.v1.undeleted", { backup });
    await change.end({ response: { backup } });
  },
});

/** A collection of which something is undeleted is deleted no more, and decided anew; not while its deletion is still under way. */
async function keepCollection(change: Change, collection: string): Promise<void> {
  const holder = await change.read<BackupCollection>(collection);
  const deleter = await lockedBy(holder?.deleting, change);
  if (deleter !== undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${collection} is being deleted by ${deleter}: undelete once that is over`,
    );
  if (holder !== undefined) change.put(collection, toReview(unmarked(holder), change.now));
}

/**
 * Erases a backup whose grace is over: first the commit that nothing brings back, then the manifest, the files, the
 * document. While its bucket keeps a file none of that begins: it is put off, and can still be undeleted. With `operation`,
 * only what that failed Operation left.
 */
export const erasure = step<"erasure.v1.requested", Removal>({
  on: "erasure.v1.requested",
  goesOn: true,

  async admit({ data: { backup, operation } }, change, ports) {
    if (operation !== undefined) return;
    const found = await change.read<Backup>(backup);
    if (found === undefined) return; // erased by another Operation
    const doomed = purging(found, change.now, await livePins(found, change));
    const hasBegun = found.purgeStartTime !== undefined;
    const kept = hasBegun ? undefined : await keeperOf(ports, found, change.now);
    change.put(backup, kept === undefined ? doomed : deferred(found, kept.until, kept.by));
  },

  async run({ data: { backup, operation } }, ports, signal) {
    const { store, objects, clock, settings } = ports;
    const found = (await store.get<Backup>(backup))?.data;
    const maker = makerToErase(found, operation);
    // Of what a failed Operation left no document tells in which bucket.
    const bucket = operation === undefined && found !== undefined ? found.bucket : settings.vaultBucket;
    if (maker === undefined || (await isGone(bucket, ports))) return { maker, deferral: undefined };
    const now = timeOf(clock.now());
    return { maker, deferral: await removeObjects(objects, bucket, backup, maker, now, signal) };
  },

  async commit({ data: { backup, operation } }, { maker, deferral }, change) {
    if (operation === undefined) return await conclude(change, backup, maker, deferral);
    // Nobody else knows of what a failed Operation left. Two that meet the same date ask once.
    if (deferral !== undefined)
      await change.request(
        "erasure.v1.requested",
        { backup, operation },
        `${operation} ${deferral.until}`,
        deferral.until,
      );
    await change.end({ response: { backup, ...told(deferral) } });
  },
});

/**
 * Whose objects are to go: of a backup that is being erased those of its Operation, else those that `failed` left. Where a
 * document names the failed one a rebuild has taken its backup over, and nothing goes.
 */
function makerToErase(found: Backup | undefined, failed: string | undefined): string | undefined {
  if (failed !== undefined) return found?.operation === failed ? undefined : failed;
  return found?.purgeStartTime === undefined ? undefined : found.operation;
}

/** Ends the erasure of a backup: it is gone, or it is put off, in `admit` or by what came between. */
async function conclude(change: Change, backup: string, maker: string | undefined, deferral: Deferral | undefined) {
  const found = await change.read<Backup>(backup);
  if (deferral !== undefined && found?.state === "DELETING")
    change.put(backup, deferred(found, deferral.until, deferral.by));
  if (deferral === undefined && found?.purgeStartTime !== undefined && found.operation === maker)
    await forget(change, found);
  const { deferredUntil: until, deferredBy: by } = (await change.read<Backup>(backup)) ?? {};
  const isPutOff = until !== undefined && by !== undefined;
  await change.end({ response: { backup, ...told(isPutOff ? { until, by } : undefined) } });
}

const told = (deferral: Deferral | undefined): Record<string, string> =>
  deferral === undefined ? {} : { deferredUntil: deferral.until, deferredBy: deferral.by };

async function forget(change: Change, backup: Backup): Promise<void> {
  const { collection } = parseBackupName(backup.name);
  const holder = await change.read<BackupCollection>(collection);
  change.remove(backup.name);
  if (holder !== undefined) discount(change, counted(holder, backup, -1));
  change.say("backup.v1.deleted", { backup: backup.name });
}

/** One backup fewer; with the last one a collection that was deleted goes. */
function discount(change: Change, collection: BackupCollection): void {
  const isOver = collection.deleteTime !== undefined && collection.totalBackupCount <= 0;
  if (isOver) {
    change.remove(collection.name);
    change.say("collection.v1.deleted", { collection: collection.name });
  } else change.put(collection.name, collection);
}
