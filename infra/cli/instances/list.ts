import type { AutomatedBackupConfig, Instance } from "../../../shared/backup/backup.ts";
import { parseInstanceName } from "../../../shared/backup/name.ts";
import { scheduleOf } from "../../../shared/backup/schedule.ts";
import { command } from "../command.ts";
import { printList } from "../list.ts";

export const list = command({
  positionals: {},
  flags: {},
  example: "valkeep instances list",

  async run(_input, session) {
    const { ports } = await session.connect();
    const found = (await ports.store.query<Instance>({ collection: "instances" })).map(({ data }) => data);
    printList(session, "instances", found, ["INSTANCE", "ENDPOINT", "MODE", "LOCATION", "BACKUPS", "RETENTION"], rowOf);
  },
});

function rowOf(instance: Instance): string[] {
  const { name, endpoint, mode, location, automatedBackupConfig } = instance;
  const isScheduled = scheduleOf(instance) !== undefined;
  const due = isScheduled ? dueText(automatedBackupConfig) : "on demand";
  const days = automatedBackupConfig.retentionSeconds / 86_400;
  return [parseInstanceName(name), endpoint, mode, location, due, isScheduled ? `${days} d` : ""];
}

function dueText({ cronSchedule, snapshotWindow, fixedFrequencySchedule }: AutomatedBackupConfig): string {
  if (cronSchedule !== undefined) return `${cronSchedule.cron} ${cronSchedule.timeZone}`;
  if (snapshotWindow !== undefined) return `daily within ${snapshotWindow} UTC`;
  return `daily at ${String(fixedFrequencySchedule?.startTime.hours ?? 0).padStart(2, "0")}:00 UTC`;
}
