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
    session.print({ ...found.data, tasks }, described({ ...found.data, tasks }));
  },
});
