import type { Backup } from "../../../shared/backup/backup.ts";
import { shortLife } from "../../../shared/backup/billing.ts";
import { defaultGrace, graceSeconds, later, timeOf } from "../../../shared/backup/duration.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { confirm, confirmFlag } from "../confirm.ts";
import { readBackupName } from "../names.ts";

export const deleteBackup = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {
    grace: {
      type: "string",
      value: "TIME",
      help: `how long it can be undeleted, such as 7d; ${defaultGrace / 3600}h where absent`,
      read(text) {
        graceSeconds(text);
        return text;
      },
    },
    ...confirmFlag,
    ...asyncFlag,
  },
  example: "valkeep backups delete orders/before-release --grace=7d --confirm=delete",

  async run({ positionals: { "INSTANCE/BACKUP": backup }, flags: { grace, ...flags } }, session) {
    const { ports } = await session.connect();
    const found = (await ports.store.get<Backup>(backup))?.data;
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${backup}`);
    const time = grace ?? `${defaultGrace / 3600}h`;
    const short = shortLife(found, later(timeOf(ports.clock.now()), graceSeconds(grace)));
    if (short !== undefined) session.say(`${backup}: ${short}.`);
    await confirm(flags.confirm, `${backup} is erased once its grace of ${time} is over.`, session);
    const name = await submit(ports, "deletion.v1.requested", { backup, ...(grace !== undefined && { grace }) });
    return await conclude(name, flags.async, ports, session, backupMade);
  },
});
