import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { readBackupName } from "../names.ts";

export const release = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: { ...asyncFlag },
  example: "valkeep backups release orders/before-release",

  async run({ positionals: { "INSTANCE/BACKUP": backup }, flags }, session) {
    const { ports } = await session.connect();
    const name = await submit(ports, "release.v1.requested", { backup });
    return await conclude(name, flags.async, ports, session, backupMade);
  },
});
