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
    const consistency = backup && consistencyText(backup);
    session.print(
      shown,
      described({
        ...shown,
        ...(consistency !== undefined && { consistency }),
        ...(copies.length > 0 && { copies: copies.map(withoutRepeats) }),
      }),
    );
    return undefined;
  },
});

/** What the files together show, in words: nobody should take the shards of a cluster for one instant. */
function consistencyText({ consistency, backupFiles }: Backup): string | undefined {
  const starts = backupFiles.flatMap(({ snapshotStartTime }) => snapshotStartTime ?? []).sort();
  const ends = backupFiles.flatMap(({ snapshotEndTime }) => snapshotEndTime ?? []).sort();
  const span = starts.length > 0 && ends.length > 0 ? ` between ${starts[0]} and ${ends.at(-1)}` : "";
  switch (consistency) {
    case undefined:
      return undefined;
    case "POINT_IN_TIME":
      return `POINT_IN_TIME: one instant${span}`;
    case "PER_SHARD":
      return `PER_SHARD: each shard shows an instant of its own${span}; together they are not one instant`;
    case "FUZZY":
      return `FUZZY: keys were read one after the other${span}; writes meanwhile may be in it or not`;
  }
}

/** A copy for people, beside its backup. */
const withoutRepeats = ({ name: _, backup: __, collection: ___, ...copy }: BackupCopy) => copy;
