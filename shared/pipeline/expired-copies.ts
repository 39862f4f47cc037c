import type { BackupCopy } from "../backup/copy.ts";
import type { Doc, Store } from "./ports.ts";

/** Copies that one query answers at most. */
const pageSize = 200;

/**
 * The copies that may be erased, the longest expired first: never the newest that an instance has in a bucket, and none
 * whose last try was put off. As an older one goes only beside a newer one, the newest stays whoever asks at once.
 */
export async function* expiredCopies(store: Store, now: string): AsyncGenerator<BackupCopy> {
  const newest = new Map<string, string | undefined>();
  for await (const copy of dueCopies(store, now)) {
    const series = `${copy.collection} ${copy.gcsBucket}`;
    if (!newest.has(series)) newest.set(series, await newestOf(copy, store));
    if (newest.get(series) !== copy.name) yield copy;
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

/** The name of the newest copy that an instance has in a bucket. */
async function newestOf({ collection, gcsBucket }: BackupCopy, store: Store): Promise<string | undefined> {
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
  return newest?.path;
}
