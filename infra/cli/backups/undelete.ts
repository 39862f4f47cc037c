import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { readBackupName } from "../names.ts";

export const undelete = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: { ...asyncFlag },
  example: "valkeep backups undelete orders/before-release",

  async run({ positionals, flags }, session) {
    const { ports } = await session.connect();
    const name = await submit(ports, "undelete.v1.requested", { backup: positionals["INSTANCE/BACKUP"] });
    return await conclude(name, flags.async, ports, session, backupMade);
  },
});
