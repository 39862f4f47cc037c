import type { Backup, Instance } from "../backup/backup.ts";
import { collectionName, parseInstanceName } from "../backup/name.ts";
import { isCounted } from "../backup/objective.ts";
import type { Doc, Store } from "./ports.ts";

/** How many backups are read at a time; the newest is mostly the one. */
const pageSize = 20;

/** The newest verified backup of an instance that could be restored. */
export async function newestVerified(store: Store, instance: Instance): Promise<Backup | undefined> {
  const collection = `${collectionName(parseInstanceName(instance.name))}/backups`;
  let after: Doc | undefined;
  for (;;) {
    const page: Doc<Backup>[] = await store.query<Backup>({
      collection,
      orderBy: { field: "createTime", direction: "desc" },
      limit: pageSize,
      ...(after !== undefined && { after }),
    });
    const found = page.find(({ data }) => isCounted(data, instance));
    if (found !== undefined || page.length < pageSize) return found?.data;
    after = page.at(-1);
  }
}
