import type { Operation } from "../../../shared/backup/operation.ts";
import { StatusError } from "../../../shared/error.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";
import { shortName } from "../names.ts";

export const list = command({
  positionals: {},
  flags: {
    limit: {
      type: "string",
      value: "COUNT",
      help: "how many at most, 1 to 1000; 20 where absent",
      read(text) {
        if (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= 1000) return text;
        throw new StatusError("INVALID_ARGUMENT", `malformed count ${JSON.stringify(text)}: expected 1 to 1000`);
      },
    },
  },
  example: "valkeep operations list --limit=5",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const found = await ports.store.query<Operation>({
      collection: "operations",
      orderBy: { field: "createTime", direction: "desc" },
      limit: Number(flags.limit ?? 20),
    });
    const header = ["OPERATION", "TARGET", "STATE", "CREATED", "ENDED"];
    printList(
      session,
      "operations",
      found.map(({ data }) => data),
      header,
      rowOf,
    );
  },
});

function rowOf(operation: Operation): string[] {
  const { name, target, createTime, endTime = "", done, error } = operation;
  return [shortName(name), target, done ? (error?.code ?? "DONE") : stateText(operation), createTime, endTime];
}

/** Once its first step is through, what it waited for is over. */
function stateText({ progress, request, postponed }: Operation): string {
  const isWaiting = postponed !== undefined && progress.step === request.type;
  return isWaiting ? `postponed until ${postponed.until}` : `at ${progress.step}`;
}
