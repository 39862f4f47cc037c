import { requestIdOf } from "../../../shared/backup/name.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command, requestIdFlag } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readOperationName } from "../names.ts";
import { waitFor } from "../wait.ts";
import { countsTable, paceFlag } from "./live.ts";

export const undo = command({
  positionals: { OPERATION: { help: "the id of the restore of single keys", read: readOperationName } },
  flags: {
    execute: { type: "boolean", help: "do it; without this it is only told" },
    force: { type: "boolean", help: "keys that somebody has changed since, too: what was written to them is lost" },
    ...paceFlag,
    "request-id": { ...requestIdFlag["request-id"], read: requestIdOf },
    ...asyncFlag,
  },
  example: "valkeep restores undo restore-3f9a1c2b4d5e6f70 --execute",

  async run({ positionals: { OPERATION: restore }, flags }, session) {
    const { execute = false, force = false, "max-keys-per-second": pace, "request-id": requestId } = flags;
    const { ports } = await session.connect();
    const name = await submit(ports, "undo.v1.requested", {
      ...{ restore, execute, force },
      ...(pace !== undefined && { maxKeysPerSecond: Number(pace) }),
      ...(requestId !== undefined && { requestId }),
    });
    if (flags.async) return await conclude(name, true, ports, session);
    const operation = await waitFor(name, ports, session);
    session.print(operation, countsTable(operation));
    if (Number(operation.response?.changed) > 0)
      session.say("changed: somebody has written to them since, they stay as they are; --force takes them back too");
    if (!execute) session.say("nothing was written; the same with --execute does it");
    return undefined;
  },
});
