import type { Backup, BackupCollection } from "../backup/backup.ts";
import { parseBackupName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import { capped, type Decision, decide } from "../backup/retention.ts";
import type { Doc, Store } from "./ports.ts";

/**
 * A decision for every backup of each collection in which something is due, by that collection's policy, under the cap of one
 * sweep. Its cost follows what is due, not what exists.
 */
export async function decideAll(store: Store, now: string, signal: AbortSignal): Promise<Decision[]> {
  const due = [...(await dueBy(store, "expireTime", now)), ...(await dueBy(store, "purgeTime", now))];
  const collections = new Set(due.map(({ path }) => parseBackupName(path).collection));
  const decisions: Decision[] = [];
  for (const collection of [...collections].sort()) {
    signal.throwIfAborted();
    const catalogue = (await store.query<Backup>({ collection: `${collection}/backups` })).map(({ data }) => data);
    const policy = (await store.get<BackupCollection>(collection))?.data.retentionPolicy ?? {};
    const createTimes = new Map(catalogue.map(({ name, createTime }) => [name, createTime]));
    decisions.push(...capped(decide(catalogue, policy, await inUse(store, catalogue), now), createTimes));
  }
  return decisions;
}

async function dueBy(store: Store, field: "expireTime" | "purgeTime", now: string): Promise<Doc<Backup>[]> {
  return await store.query<Backup>({
    collection: "backups",
    group: true,
    where: [[field, "<=", now]],
    orderBy: { field, direction: "asc" },
  });
}

async function inUse(store: Store, catalogue: readonly Backup[]): Promise<Set<string>> {
  const used = new Set<string>();
  for (const { name, pins } of catalogue)
    for (const pin of pins) if ((await store.get<Operation>(pin))?.data.done === false) used.add(name);
  return used;
}
