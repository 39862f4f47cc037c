import { command } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readOperationName } from "../names.ts";

export const wait = command({
  positionals: { OPERATION: { help: "its id", read: readOperationName } },
  flags: {},
  example: "valkeep operations wait backup-3f9a1c2b4d5e6f70",

  async run({ positionals }, session) {
    const { ports } = await session.connect();
    return await conclude(positionals.OPERATION, false, ports, session);
  },
});
