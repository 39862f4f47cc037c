import { timeOf } from "../../shared/backup/duration.ts";
import type { Operation } from "../../shared/backup/operation.ts";
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
    if (!flags["dry-run"]) {
      const name = await submit(ports, "sweep.v1.requested", {});
      await conclude(name, flags.async, ports, session);
      const { deferred = 0, left } = (await ports.store.get<Operation>(name))?.data.response ?? {};
      if (deferred !== 0) session.say(`${deferred} are deferred; valkeep sweep --dry-run tells why`);
      if (left !== undefined) session.say(`${left}`);
      return undefined;
    }
    const decisions: Decision[] = [];
    for await (const some of decideAll(ports.store, timeOf(ports.clock.now()), session.signal)) decisions.push(...some);
    printList(session, "backups", decisions, ["BACKUP", "ACTION", "REASON"], rowOf);
    return undefined;
  },
});

const rowOf = ({ backup, action, reason }: Decision): string[] => [shortBackupName(backup), action, reason];
