import type { Job } from "../../../shared/pipeline/ports.ts";
import { type Cell, time } from "../cell.ts";
import { command } from "../command.ts";
import { printSelection } from "../list.ts";
import { optionalFields } from "../optional.ts";
import { selectionFlags } from "../selection.ts";

export const list = command({
  positionals: {},
  flags: selectionFlags,
  example: "valkeep schedules list --filter=type=backup.v1.requested",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const header = ["JOB", "STATE", "ASKS FOR", "CRON", "TIME ZONE", "NEXT", "LAST"];
    const documents = await ports.scheduler.list();
    await printSelection(session, { what: "schedules", documents, header, rowOf, optional }, flags);
  },
});

const optional = optionalFields<Job>({ scheduleTime: true, lastAttemptTime: true });

const rowOf = ({ id, state, type, cron, timeZone, scheduleTime, lastAttemptTime }: Job): Cell[] => [
  id,
  state,
  type,
  cron,
  timeZone,
  time(scheduleTime),
  time(lastAttemptTime),
];
