import type { BackupCopy } from "../backup/copy.ts";
import type { Doc, Store } from "./ports.ts";

/** Copies that one query answers at most. */
const pageSize = 200;

/** A copy whose time has come, and the backup whose copy is the newest of the same instance in the same bucket. */
export interface ExpiredCopy {
  copy: BackupCopy;
  newerBackup: string;
}

/**
 * The copies that may be erased, the longest expired first: never the newest that an instance has in a bucket, and none
 * whose last try was put off. As an older one goes only beside a newer one, the newest stays whoever asks at once.
 */
export async function* expiredCopies(store: Store, now: string): AsyncGenerator<ExpiredCopy> {
  const newest = new Map<string, string>();
  for await (const copy of dueCopies(store, now)) {
    const series = `${copy.collection} ${copy.gcsBucket}`;
    const newerBackup = newest.get(series) ?? (await newestOf(copy, store));
    newest.set(series, newerBackup);
    if (newerBackup !== copy.backup) yield { copy, newerBackup };
  }
}

/** Page by page. */
async function* dueCopies(store: Store, now: string): AsyncGenerator<BackupCopy> {
  for (let after: Doc<BackupCopy> | undefined; ; ) {
    const page: Doc<BackupCopy>[] = await store.query<BackupCopy>({
      collection: "copies",
      group: true,
      where: [["expireTime", "<=", now]],
      orderBy: { field: "expireTime", direction: "asc" },
      limit: pageSize,
      ...(after !== undefined && { after }),
    });
    for (const { data } of page) if (data.deferredUntil === undefined || data.deferredUntil <= now) yield data;
    after = page.at(-1);
    if (page.length < pageSize) return;
  }
}

/** The backup whose copy is the newest of an instance in a bucket; this one where there is no other. */
async function newestOf({ backup, collection, gcsBucket }: BackupCopy, store: Store): Promise<string> {
  const [newest] = await store.query<BackupCopy>({
    collection: "copies",
    group: true,
    where: [
      ["collection", "==", collection],
      ["gcsBucket", "==", gcsBucket],
    ],
    orderBy: { field: "backupCreateTime", direction: "desc" },
    limit: 1,
  });
  return newest?.data.backup ?? backup;
}
