import type { Job } from "../../../shared/pipeline/ports.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";

export const list = command({
  positionals: {},
  flags: {},
  example: "valkeep schedules list",

  async run(_input, session) {
    const { ports } = await session.connect();
    const header = ["JOB", "STATE", "ASKS FOR", "CRON", "TIME ZONE", "NEXT", "LAST"];
    printList(session, "schedules", await ports.scheduler.list(), header, rowOf);
  },
});

const rowOf = ({ id, state, type, cron, timeZone, scheduleTime, lastAttemptTime }: Job): string[] => [
  id,
  state,
  type,
  cron,
  timeZone,
  scheduleTime ?? "",
  lastAttemptTime ?? "",
];
