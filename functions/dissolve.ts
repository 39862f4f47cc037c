import type { Backup, BackupCollection, Instance } from "../shared/backup/backup.ts";
import { graceSeconds } from "../shared/backup/duration.ts";
import { instanceName, parseCollectionName } from "../shared/backup/name.ts";
import { scheduleOf } from "../shared/backup/schedule.ts";
import { tombstoned } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import { type Change, idOf } from "../shared/pipeline/change.ts";
import { isGoingOn, livePins, lockedBy } from "../shared/pipeline/held.ts";
import { everyDocument, pageAfter } from "../shared/pipeline/pages.ts";
import type { Store } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Backups on which one commit puts a tombstone at most. */
const pageSize = 100;

/** Admits the deletion of a collection: from here on no backup is taken into it, and nothing of it must stay. */
export const dissolution = step<"dissolution.v1.requested", { backupCount: number }>({
  on: "dissolution.v1.requested",

  async admit({ data: { collection }, operation }, change) {
    const found = await existingCollection(change, collection);
    await assertUnused(change, found);
    change.put(collection, { ...found, deleting: operation });
    change.hold({ kind: "lock", path: collection, field: "deleting" });
  },

  async run({ data: { collection, confirm } }, { store }, signal) {
    let backupCount = 0;
    let complaintCount = 0;
    const complaints: string[] = [];
    for await (const { data: backup } of everyDocument<Backup>(store, backupsIn(collection), signal)) {
      backupCount++;
      const reason = await reasonToStay(backup, store);
      if (reason === undefined) continue;
      complaintCount++;
      if (complaints.length < 10) complaints.push(`${idOf(backup.name)} ${reason}`);
    }
    if (complaintCount > 0)
      throw new StatusError(
        "FAILED_PRECONDITION",
        `${collection} is not deleted, ${complaintCount} of its ${backupCount} backups must stay: ${complaints.join("; ")}`,
      );
    if (backupCount > 0 && confirm === undefined)
      throw new StatusError(
        "FAILED_PRECONDITION",
        `${collection} holds ${backupCount} backups: their deletion wants confirm to be the word delete`,
      );
    return { backupCount };
  },

  async commit({ data: { collection, grace } }, { backupCount }, change) {
    change.operation.response = { collection, deleted: 0, kept: 0 };
    if (backupCount === 0) return await conclude(change, collection);
    change.ask("clearance.v1.requested", { collection, page: 0, ...(grace !== undefined && { grace }) }, 0);
  },
});

/** Puts a tombstone on each backup of a page, and asks for the next page; the last one marks the collection. */
export const clearance = step<"clearance.v1.requested", string[]>({
  on: "clearance.v1.requested",

  async run({ data: { collection, after } }, { store }) {
    return (await pageAfter(store, backupsIn(collection), after, pageSize)).map(({ path }) => path);
  },

  async commit({ data: { collection, grace, page } }, names, change) {
    const { deleted = 0, kept = 0 } = change.operation.response ?? {};
    const counts = { deleted: Number(deleted), kept: Number(kept) };
    for (const name of names) await bury(change, name, graceSeconds(grace), counts);
    change.operation.response = { collection, ...counts };
    const after = names.at(-1);
    if (after === undefined || names.length < pageSize) return await conclude(change, collection);
    const next = { collection, after, page: page + 1, ...(grace !== undefined && { grace }) };
    change.ask("clearance.v1.requested", next, next.page);
  },
});

const backupsIn = (collection: string) => ({ collection: `${collection}/backups` });

async function existingCollection(change: Change, collection: string): Promise<BackupCollection> {
  const found = await change.read<BackupCollection>(collection);
  if (found !== undefined) return found;
  throw new StatusError("NOT_FOUND", `there is no ${collection}; valkeep collections list shows what is`);
}

/** Refuses while somebody takes a backup or deletes already, or while a schedule would take the next one. */
async function assertUnused(change: Change, { name, creating, deleting }: BackupCollection): Promise<void> {
  const maker = await lockedBy(creating, change);
  if (maker !== undefined) throw refused(`${name}: a backup is being taken by ${maker}: wait for it or cancel it`);
  const other = await lockedBy(deleting, change);
  if (other !== undefined) throw refused(`${name} is being deleted by ${other} already`);
  const id = parseCollectionName(name);
  const instance = await change.read<Instance>(instanceName(id));
  if (instance !== undefined && scheduleOf(instance) !== undefined)
    throw refused(
      `${name}: ${instance.name} still takes backups by its schedule; valkeep instances update ${id} --automated-backup-config-mode=disabled, or valkeep instances delete ${id}, ends that`,
    );
}

/** Why no explicit wish takes this backup. The retention's rules are no reason: they guard against a sweep. */
async function reasonToStay({ state, hold, pins }: Backup, store: Store): Promise<string | undefined> {
  if (state === "CREATING") return "is being taken";
  if (hold !== undefined) return `is held: ${hold.reason}`;
  for (const pin of pins) if (await isGoingOn(pin, store)) return `is in use by ${pin}`;
  return undefined;
}

/** One tombstone; what was held or pinned since the admission is counted and left. */
async function bury(
  change: Change,
  name: string,
  graceSeconds: number,
  counts: { deleted: number; kept: number },
): Promise<void> {
  const backup = await change.read<Backup>(name);
  if (backup === undefined || backup.state === "DELETING") return;
  if (backup.state !== "ACTIVE" || backup.hold !== undefined || (await livePins(backup, change)).length > 0) {
    counts.kept++;
    return;
  }
  const dead = tombstoned(backup, change.now, graceSeconds, []);
  change.put(name, dead);
  change.say("backup.v1.expired", { backup: name, purgeTime: dead.purgeTime ?? change.now }, idOf(name));
  counts.deleted++;
}

/** Marks the collection, which goes with its last backup, or now if it has none. Something that stays keeps it. */
async function conclude(change: Change, collection: string): Promise<void> {
  const { kept = 0 } = change.operation.response ?? {};
  if (kept !== 0) {
    const message = `${kept} backups of ${collection} were held or put to use meanwhile: they and the collection stay, the others are deleted`;
    return await change.end({ error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
  }
  const found = await existingCollection(change, collection);
  if (found.totalBackupCount > 0) change.put(collection, { ...found, deleteTime: change.now });
  else {
    change.remove(collection);
    change.say("collection.v1.deleted", { collection });
  }
  await change.end();
}

const refused = (message: string): StatusError => new StatusError("FAILED_PRECONDITION", message);
