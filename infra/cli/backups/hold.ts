import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { readBackupName } from "../names.ts";

export const hold = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {
    reason: {
      type: "string",
      value: "TEXT",
      help: "why; shown to whoever would delete it",
      isRequired: true,
      read(text) {
        if (text.trim() !== "") return text;
        throw new StatusError("INVALID_ARGUMENT", "expected a reason");
      },
    },
    ...asyncFlag,
  },
  example: "valkeep backups hold orders/before-release --reason=audit-of-May",

  async run({ positionals: { "INSTANCE/BACKUP": backup }, flags }, session) {
    const { ports } = await session.connect();
    const name = await submit(ports, "hold.v1.requested", { backup, reason: flags.reason });
    return await conclude(name, flags.async, ports, session, backupMade);
  },
});
