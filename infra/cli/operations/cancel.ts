import type { Operation } from "../../../shared/backup/operation.ts";
import { StatusError } from "../../../shared/error.ts";
import { endOperation } from "../../../shared/pipeline/submit.ts";
import { command } from "../command.ts";
import { printDocument } from "../describe.ts";
import { readOperationName, shortName } from "../names.ts";

export const cancel = command({
  positionals: { OPERATION: { help: "its id", read: readOperationName } },
  flags: {},
  example: "valkeep operations cancel restore-3f9a1c2b4d5e6f70",

  async run({ positionals: { OPERATION: name } }, session) {
    const { ports } = await session.connect();
    const found = await ports.store.get<Operation>(name);
    const error = new StatusError("CANCELLED", "cancelled with valkeep operations cancel");
    if (!(await endOperation(ports, name, error, true)))
      throw new StatusError("FAILED_PRECONDITION", `${name} has ended already`);
    if (found?.data.plan !== undefined)
      session.say("what it has loaded stays in the target: empty that before the next restore");
    if (found?.data.progress.step === "merge.v1.requested")
      session.say(`what it has written stays: valkeep restores undo ${shortName(name)} takes it back`);
    await printDocument(session, name);
  },
});
