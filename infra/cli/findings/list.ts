import { compareFindings, type Finding } from "../../../shared/backup/finding.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";

export const list = command({
  positionals: {},
  flags: { all: { type: "boolean", help: "those that were cleared within the last week, too" } },
  example: "valkeep findings list",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const found = await ports.store.query<Finding>({
      collection: "findings",
      ...(!flags.all && { where: [["state", "==", "OPEN"]] }),
    });
    const findings = found.map(({ data }) => data).sort(compareFindings);
    printList(session, "findings", findings, ["SEVERITY", "FINDING", "RESOURCE", "SINCE", "CLEARED", "MESSAGE"], rowOf);
  },
});

const rowOf = ({ severity, kind, resource, firstSeenTime, clearTime = "", message, advice }: Finding): string[] => [
  severity,
  kind,
  resource,
  firstSeenTime,
  clearTime,
  `${message}. ${advice}`,
];
