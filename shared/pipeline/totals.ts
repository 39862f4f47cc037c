import type { Backup } from "../backup/backup.ts";
import { added, type Totals } from "../backup/collection.ts";
import { everyDocument } from "./pages.ts";
import type { Store } from "./ports.ts";

/** What the backups of a collection come to, counted one by one. */
export async function totalsOf(collection: string, store: Store, signal: AbortSignal): Promise<Totals> {
  let totals: Totals = { totalBackupCount: 0, totalBackupSizeBytes: 0 };
  for await (const { data } of everyDocument<Backup>(store, { collection: `${collection}/backups` }, signal))
    totals = added(totals, data);
  return totals;
}
