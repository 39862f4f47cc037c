import { instanceName } from "../../../shared/backup/name.ts";
import { command } from "../command.ts";
import { printDocument } from "../describe.ts";
import { readInstanceId } from "../names.ts";

export const describe = command({
  positionals: { INSTANCE: { help: "its id", read: readInstanceId } },
  flags: {},
  example: "valkeep instances describe orders",

  async run({ positionals }, session) {
    await printDocument(session, instanceName(positionals.INSTANCE));
  },
});
