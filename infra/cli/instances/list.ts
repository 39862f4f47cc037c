import type { AutomatedBackupConfig, Instance } from "../../../shared/backup/backup.ts";
import { parseInstanceName } from "../../../shared/backup/name.ts";
import { scheduleOf } from "../../../shared/backup/schedule.ts";
import type { Cell } from "../cell.ts";
import { command } from "../command.ts";
import { printSelection } from "../list.ts";
import { optionalFields } from "../optional.ts";
import { selectionFlags } from "../selection.ts";

export const list = command({
  positionals: {},
  flags: selectionFlags,
  example: "valkeep instances list --filter=location:asia",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const documents = (await ports.store.query<Instance>({ collection: "instances" })).map(({ data }) => data);
    const header = ["INSTANCE", "ENDPOINT", "MODE", "LOCATION", "BACKUPS", "RETENTION"];
    await printSelection(session, { what: "instances", documents, header, rowOf, optional }, flags);
  },
});

const optional = [
  ...optionalFields<Instance>({
    ...{ caCertificate: true, authUser: true, authSecret: true, nodeType: true, engineVersion: true, restoring: true },
    ...{ exportPolicy: true, backupObjective: true, maintenancePolicy: true, state: true },
    ...{ source: true, maxParallelShards: true, seeds: true },
    ...{ snapshotMethod: true, maxKeysPerSecond: true, dataDirectory: true },
  }),
  ...optionalFields<AutomatedBackupConfig>({
    ...{ fixedFrequencySchedule: true, cronSchedule: true, snapshotWindow: true, changeTime: true },
  }).map((field) => `automatedBackupConfig.${field}`),
];

function rowOf(instance: Instance): Cell[] {
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
