import type { Backup } from "../../../shared/backup/backup.ts";
import { collectionName } from "../../../shared/backup/name.ts";
import { type Cell, size, time } from "../cell.ts";
import { command } from "../command.ts";
import { printSelection } from "../list.ts";
import { readInstanceId, shortBackupName } from "../names.ts";
import { optionalFields } from "../optional.ts";
import { selectionFlags } from "../selection.ts";

export const list = command({
  positionals: { INSTANCE: { help: "only those of this instance", isOptional: true, read: readInstanceId } },
  flags: selectionFlags,
  example: "valkeep backups list orders --filter=verification!=PROVEN --sort-by=~totalSizeBytes",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const { ports } = await session.connect();
    const query =
      id === undefined ? { collection: "backups", group: true } : { collection: `${collectionName(id)}/backups` };
    const found = (await ports.store.query<Backup>(query)).map(({ data }) => data);
    const documents = found.sort((a, b) => Date.parse(b.createTime) - Date.parse(a.createTime));
    const header = ["BACKUP", "STATE", "VERIFICATION", "TYPE", "SIZE", "CREATED", "EXPIRES"];
    const what = id === undefined ? "backups" : `backups of ${id}`;
    await printSelection(session, { what, documents, header, rowOf, optional }, flags);
  },
});

const optional = optionalFields<Backup>({
  ...{ engineVersion: true, nodeType: true, reviewTime: true, hold: true },
  ...{ shards: true, consistency: true },
  ...{ purgeTime: true, deferredUntil: true, deferredBy: true, purgeStartTime: true },
});

const rowOf = (backup: Backup): Cell[] => [
  shortBackupName(backup.name),
  backup.state,
  backup.verification,
  backup.backupType,
  size(backup.totalSizeBytes),
  time(backup.createTime),
  // Of a deleted one its expiry says nothing any more.
  time(backup.purgeTime ?? backup.expireTime),
];
