import type { Operation, Task } from "../../../shared/backup/operation.ts";
import { StatusError } from "../../../shared/error.ts";
import { command } from "../command.ts";
import { readOperationName, shortName } from "../names.ts";
import { described } from "../plain.ts";

export const describe = command({
  positionals: { OPERATION: { help: "its id", read: readOperationName } },
  flags: {},
  example: "valkeep operations describe backup-3f9a1c2b4d5e6f70",

  async run({ positionals: { OPERATION: name } }, session) {
    const { ports } = await session.connect();
    const found = await ports.store.get<Operation>(name);
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    const tasks = (await ports.store.query<Task>({ collection: `${name}/tasks` })).map(({ path, data }) => ({
      id: shortName(path),
      ...data,
    }));
    session.print({ ...found.data, tasks }, described({ ...briefly(found.data), tasks: tasks.map(withoutResume) }));
  },
});

/** For people: how many parts there are, and not where each of a thousand begins. */
function briefly(operation: Operation): object {
  const { plan } = operation;
  return plan === undefined ? operation : { ...operation, plan: { ...plan, parts: plan.parts.length } };
}

/** By what a step goes on is of use to itself alone, and may be long. */
const withoutResume = ({ progress, ...task }: Task): object =>
  progress === undefined ? task : { ...task, progress: { ...progress, resume: undefined } };
