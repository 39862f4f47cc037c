import { compareFindings, type Finding } from "../../../shared/backup/finding.ts";
import { type Cell, time } from "../cell.ts";
import { command } from "../command.ts";
import { printSelection } from "../list.ts";
import { selectionFlags } from "../selection.ts";

export const list = command({
  positionals: {},
  flags: {
    all: { type: "boolean", help: "those that were cleared within the last week, too" },
    ...selectionFlags,
  },
  example: "valkeep findings list --filter=severity=CRITICAL",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const found = await ports.store.query<Finding>({
      collection: "findings",
      ...(!flags.all && { where: [["state", "==", "OPEN"]] }),
    });
    const documents = found.map(({ data }) => data).sort(compareFindings);
    const header = ["SEVERITY", "FINDING", "RESOURCE", "SINCE", "CLEARED", "MESSAGE"];
    await printSelection(session, { what: "findings", documents, header, rowOf, optional: ["clearTime"] }, flags);
  },
});

const rowOf = ({ severity, kind, resource, firstSeenTime, clearTime, message, advice }: Finding): Cell[] => [
  severity,
  kind,
  resource,
  time(firstSeenTime),
  time(clearTime),
  `${message}. ${advice}`,
];
