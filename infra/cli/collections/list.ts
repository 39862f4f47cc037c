import type { BackupCollection } from "../../../shared/backup/backup.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";
import { shortName } from "../names.ts";
import { sizeText } from "../plain.ts";

export const list = command({
  positionals: {},
  flags: {},
  example: "valkeep collections list",

  async run(_input, session) {
    const { ports } = await session.connect();
    const found = await ports.store.query<BackupCollection>({ collection: "backupCollections" });
    const header = ["COLLECTION", "BACKUPS", "SIZE", "LAST BACKUP", "LOCATION"];
    printList(
      session,
      "collections",
      found.map(({ data }) => data),
      header,
      rowOf,
    );
  },
});

const rowOf = (collection: BackupCollection): string[] => [
  shortName(collection.name),
  String(collection.totalBackupCount),
  sizeText(collection.totalBackupSizeBytes),
  collection.lastBackupTime ?? "",
  collection.location,
];
