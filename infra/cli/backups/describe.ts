import { command } from "../command.ts";
import { printDocument } from "../describe.ts";
import { readBackupName } from "../names.ts";

export const describe = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {},
  example: "valkeep backups describe orders/before-release",

  async run({ positionals }, session) {
    await printDocument(session, positionals["INSTANCE/BACKUP"]);
  },
});
