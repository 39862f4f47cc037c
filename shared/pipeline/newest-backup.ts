import type { Backup, Instance } from "../backup/backup.ts";
import { later } from "../backup/duration.ts";
import { collectionName, parseInstanceName } from "../backup/name.ts";
import { isCounted } from "../backup/objective.ts";
import type { Doc, Query, Store } from "./ports.ts";

/** How many backups are read at a time, behind the newest, which mostly is the one. */
const pageSize = 20;

/** How much older than the newest the last of the recent ones is, in seconds: of a daily schedule that is the one before, on any day. */
const longAgo = 20 * 3600;

/** The newest verified backup of an instance that could be restored; with `before`, of those that were asked for before then. */
export async function newestVerified(store: Store, instance: Instance, before?: string): Promise<Backup | undefined> {
  const collection = `${collectionName(parseInstanceName(instance.name))}/backups`;
  const where: Query["where"] = before === undefined ? [] : [["createTime", "<", before]];
  let after: Doc | undefined;
  for (;;) {
    const limit = after === undefined ? 1 : pageSize;
    const page: Doc<Backup>[] = await store.query<Backup>({
      collection,
      where,
      orderBy: { field: "createTime", direction: "desc" },
      limit,
      ...(after !== undefined && { after }),
    });
    const found = page.find(({ data }) => isCounted(data, instance));
    if (found !== undefined || page.length < limit) return found?.data;
    after = page.at(-1);
  }
}

/**
 * The newest verified backup, the one before it, and, where that is another one, the newest that is 20 hours older: what was lost
 * can be told for so long, however many backups are taken since.
 */
export async function recentVerified(store: Store, instance: Instance): Promise<Backup[]> {
  const newest = await newestVerified(store, instance);
  if (newest === undefined) return [];
  const former = await newestVerified(store, instance, newest.createTime);
  if (former === undefined) return [newest];
  const until = later(newest.createTime, -longAgo);
  const older = former.createTime < until ? undefined : await newestVerified(store, instance, until);
  return [newest, former, ...(older === undefined ? [] : [older])];
}
