import type { Backup } from "../../../shared/backup/backup.ts";
import { defaultGrace, graceSeconds } from "../../../shared/backup/duration.ts";
import { collectionName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { everyDocument } from "../../../shared/pipeline/pages.ts";
import type { Store } from "../../../shared/pipeline/ports.ts";
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
    const count = await show(collection, ports.store, session);
    if (count > 0) {
      const time = grace ?? `${defaultGrace / 3600}h`;
      await confirm(
        flags.confirm,
        `These are erased, and ${collection} with them, once the grace of ${time} is over.`,
        session,
      );
    }
    const name = await submit(ports, "dissolution.v1.requested", {
      collection,
      ...(count > 0 && { confirm: "delete" }),
      ...(grace !== undefined && { grace }),
    });
    return await conclude(name, flags.async, ports, session, () => collection);
  },
});

/** What would go, for people: the result is what came of it. Answers how many backups there are. */
async function show(collection: string, store: Store, session: Session): Promise<number> {
  const rows = [["BACKUP", "STATE", "TYPE", "SIZE", "CREATED", "HELD"]];
  let count = 0;
  let sizeBytes = 0;
  const backups = everyDocument<Backup>(store, { collection: `${collection}/backups` }, session.signal);
  for await (const { data } of backups) {
    count++;
    sizeBytes += data.totalSizeBytes;
    if (count <= shownCount) rows.push(rowOf(data));
  }
  if (count > 0) for (const line of table(rows).split("\n")) session.say(line);
  const more = count > shownCount ? `, of which the first ${shownCount} are shown` : "";
  if (count > 0) session.say(`${count} backups of ${sizeText(sizeBytes)}${more}`);
  return count;
}

const rowOf = (backup: Backup): string[] => [
  shortBackupName(backup.name),
  backup.state,
  backup.backupType,
  sizeText(backup.totalSizeBytes),
  backup.createTime,
  backup.hold?.reason ?? "",
];
