import type { Backup, Instance } from "../backup/backup.ts";
import { collectionName, parseInstanceName } from "../backup/name.ts";
import { isCounted } from "../backup/objective.ts";
import type { Doc, Store } from "./ports.ts";

/** How many backups are read at a time, behind the newest, which mostly is the one. */
const pageSize = 20;

/** The newest verified backup of an instance that could be restored. */
export async function newestVerified(store: Store, instance: Instance): Promise<Backup | undefined> {
  const collection = `${collectionName(parseInstanceName(instance.name))}/backups`;
  let after: Doc | undefined;
  for (;;) {
    const limit = after === undefined ? 1 : pageSize;
    const page: Doc<Backup>[] = await store.query<Backup>({
      collection,
      orderBy: { field: "createTime", direction: "desc" },
      limit,
      ...(after !== undefined && { after }),
    });
    const found = page.find(({ data }) => isCounted(data, instance));
    if (found !== undefined || page.length < limit) return found?.data;
    after = page.at(-1);
  }
}
