import { type Finding, findings } from "../../../shared/pipeline/findings.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";
import { sizeText } from "../plain.ts";

/** Findings that are kept and shown; the others are counted. */
const shownCount = 10_000;

export const check = command({
  positionals: {},
  flags: {},
  example: "valkeep catalogue check --json",

  async run(_input, session) {
    const { ports } = await session.connect();
    const shown: Finding[] = [];
    let count = 0;
    let wrongCount = 0;
    for await (const finding of findings(ports, session.signal)) {
      count++;
      if (finding.kind !== "FOREIGN") wrongCount++;
      if (shown.length < shownCount) shown.push(finding);
    }
    const now = ports.clock.now();
    const header = ["KIND", "NAME", "AGE", "SIZE", "DETAIL"];
    printList(session, "disagreements between the catalogue and the bucket", shown, header, (it) => rowOf(it, now));
    if (count > shown.length) session.say(`${count - shown.length} more are not shown`);
    return wrongCount > 0 ? 1 : 0;
  },
});

function rowOf({ kind, name, detail, createTime, sizeBytes }: Finding, now: number): string[] {
  const age = createTime === undefined ? "" : ageText(now - Date.parse(createTime));
  return [kind, name, age, sizeBytes === undefined ? "" : sizeText(sizeBytes), detail];
}

/** Milliseconds in days and hours: `12d 3h`. */
function ageText(milliseconds: number): string {
  const hours = Math.max(0, Math.floor(milliseconds / 3_600_000));
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}
