import type { BackupCollection } from "../../../shared/backup/backup.ts";
import { amount, type Cell, size, time } from "../cell.ts";
import { command } from "../command.ts";
import { printSelection } from "../list.ts";
import { shortName } from "../names.ts";
import { optionalFields } from "../optional.ts";
import { selectionFlags } from "../selection.ts";

export const list = command({
  positionals: {},
  flags: selectionFlags,
  example: "valkeep collections list --sort-by=~totalBackupSizeBytes",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const found = await ports.store.query<BackupCollection>({ collection: "backupCollections" });
    const documents = found.map(({ data }) => data);
    const header = ["COLLECTION", "BACKUPS", "SIZE", "LAST BACKUP", "LOCATION", "DELETED"];
    await printSelection(session, { what: "collections", documents, header, rowOf, optional }, flags);
  },
});

const optional = optionalFields<BackupCollection>({
  ...{ lastBackupTime: true, retentionPolicy: true, lastExport: true, kmsKey: true, reviewTime: true },
  ...{ keepsExpired: true, sweeping: true, creating: true, deleting: true, deleteTime: true, overruleTime: true },
});

const rowOf = (collection: BackupCollection): Cell[] => [
  shortName(collection.name),
  amount(collection.totalBackupCount),
  size(collection.totalBackupSizeBytes),
  time(collection.lastBackupTime),
  collection.location,
  time(collection.deleteTime),
];
