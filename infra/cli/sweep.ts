import { timeOf } from "../../shared/backup/duration.ts";
import type { Decision } from "../../shared/backup/retention.ts";
import { decideAll } from "../../shared/pipeline/catalogue.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "./command.ts";
import { conclude } from "./conclude.ts";
import { printList } from "./list.ts";
import { shortBackupName } from "./names.ts";

export const sweep = command({
  positionals: {},
  flags: {
    "dry-run": { type: "boolean", help: "only show what would be done with each backup, and why" },
    ...asyncFlag,
  },
  example: "valkeep sweep --dry-run",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    if (!flags["dry-run"])
      return await conclude(await submit(ports, "sweep.v1.requested", {}), flags.async, ports, session);
    const decisions = await decideAll(ports.store, timeOf(ports.clock.now()), session.signal);
    printList(session, "backups that are due", decisions, ["BACKUP", "ACTION", "REASON"], rowOf);
    return undefined;
  },
});

const rowOf = ({ backup, action, reason }: Decision): string[] => [shortBackupName(backup), action, reason];
