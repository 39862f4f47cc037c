import type { Backup } from "../../../shared/backup/backup.ts";
import { collectionName } from "../../../shared/backup/name.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";
import { readInstanceId, shortBackupName } from "../names.ts";
import { sizeText } from "../plain.ts";

export const list = command({
  positionals: { INSTANCE: { help: "only those of this instance", isOptional: true, read: readInstanceId } },
  flags: {},
  example: "valkeep backups list orders",

  async run({ positionals: { INSTANCE: id } }, session) {
    const { ports } = await session.connect();
    const query =
      id === undefined ? { collection: "backups", group: true } : { collection: `${collectionName(id)}/backups` };
    const found = (await ports.store.query<Backup>(query)).map(({ data }) => data);
    const newestFirst = found.sort((a, b) => (a.createTime < b.createTime ? 1 : -1));
    const header = ["BACKUP", "STATE", "VERIFICATION", "TYPE", "SIZE", "CREATED", "EXPIRES"];
    printList(session, id === undefined ? "backups" : `backups of ${id}`, newestFirst, header, rowOf);
  },
});

const rowOf = (backup: Backup): string[] => [
  shortBackupName(backup.name),
  backup.state,
  backup.verification,
  backup.backupType,
  sizeText(backup.totalSizeBytes),
  backup.createTime,
  backup.expireTime,
];
