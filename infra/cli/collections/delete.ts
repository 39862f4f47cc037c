import type { Backup } from "../../../shared/backup/backup.ts";
import { defaultGrace, graceSeconds } from "../../../shared/backup/duration.ts";
import { collectionName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { conclude } from "../conclude.ts";
import { confirm, confirmFlag } from "../confirm.ts";
import { readInstanceId, shortBackupName } from "../names.ts";
import { sizeText } from "../plain.ts";
import type { Session } from "../session.ts";
import { table } from "../table.ts";

/** How many of the backups that would go are shown. */
const shownCount = 200;

export const deleteCollection = command({
  positionals: { INSTANCE: { help: "the id of the instance, which may be gone", read: readInstanceId } },
  flags: {
    grace: {
      type: "string",
      value: "TIME",
      help: `how long its backups can be undeleted, such as 7d; ${defaultGrace / 3600}h where absent`,
      read(text) {
        graceSeconds(text);
        return text;
      },
    },
    ...confirmFlag,
    ...asyncFlag,
  },
  example: "valkeep collections delete orders --grace=7d --confirm=delete",

  async run({ positionals: { INSTANCE: id }, flags: { grace, ...flags } }, session) {
    const { ports } = await session.connect();
    const collection = collectionName(id);
    if ((await ports.store.get(collection)) === undefined)
      throw new StatusError("NOT_FOUND", `there is no ${collection}`);
    const found = await ports.store.query<Backup>({ collection: `${collection}/backups` });
    if (found.length > 0) {
      show(
        found.map(({ data }) => data),
        session,
      );
      const time = grace ?? `${defaultGrace / 3600}h`;
      await confirm(
        flags.confirm,
        `These are erased, and ${collection} with them, once the grace of ${time} is over.`,
        session,
      );
    }
    const name = await submit(ports, "dissolution.v1.requested", {
      collection,
      ...(found.length > 0 && { confirm: "delete" }),
      ...(grace !== undefined && { grace }),
    });
    return await conclude(name, flags.async, ports, session, () => collection);
  },
});

/** What would go, for people: the result is what came of it. */
function show(backups: Backup[], session: Session): void {
  const rows = backups.slice(0, shownCount).map(rowOf);
  for (const line of table([["BACKUP", "STATE", "TYPE", "SIZE", "CREATED", "HELD"], ...rows]).split("\n"))
    session.say(line);
  const sizeBytes = backups.reduce((sum, { totalSizeBytes }) => sum + totalSizeBytes, 0);
  const more = backups.length > shownCount ? `, of which the first ${shownCount} are shown` : "";
  session.say(`${backups.length} backups of ${sizeText(sizeBytes)}${more}`);
}

const rowOf = (backup: Backup): string[] => [
  shortBackupName(backup.name),
  backup.state,
  backup.backupType,
  sizeText(backup.totalSizeBytes),
  backup.createTime,
  backup.hold?.reason ?? "",
];
