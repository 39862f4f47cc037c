import { collectionName } from "../../../shared/backup/name.ts";
import { command } from "../command.ts";
import { printDocument } from "../describe.ts";
import { readInstanceId } from "../names.ts";

export const describe = command({
  positionals: { INSTANCE: { help: "the id of the instance, which may be gone", read: readInstanceId } },
  flags: {},
  example: "valkeep collections describe orders",

  async run({ positionals }, session) {
    await printDocument(session, collectionName(positionals.INSTANCE));
  },
});
