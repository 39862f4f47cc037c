import type { Backup } from "../../../shared/backup/backup.ts";
import type { BackupCopy } from "../../../shared/backup/copy.ts";
import { StatusError } from "../../../shared/error.ts";
import { command } from "../command.ts";
import { readBackupName } from "../names.ts";
import { described } from "../plain.ts";

export const describe = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {},
  example: "valkeep backups describe orders/before-release",

  async run({ positionals: { "INSTANCE/BACKUP": name } }, session) {
    const { store } = (await session.connect()).ports;
    const backup = (await store.get<Backup>(name))?.data;
    const found = await store.query<BackupCopy>({ collection: `${name}/copies` });
    // Copies outlive their backup: what is left of it is shown by them.
    if (backup === undefined && found.length === 0) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    const copies = found.map(({ data }) => data);
    const shown = { name, ...backup, ...(copies.length > 0 && { copies }) };
    session.print(shown, described({ ...shown, ...(copies.length > 0 && { copies: copies.map(withoutRepeats) }) }));
    return undefined;
  },
});

/** A copy for people, beside its backup. */
const withoutRepeats = ({ name: _, backup: __, collection: ___, ...copy }: BackupCopy) => copy;
