import type { ScheduleFlags } from "../../../shared/backup/automated-backup.ts";
import type { Instance } from "../../../shared/backup/backup.ts";

/** Says so where flags have set a schedule that nothing comes of: whoever set it counts on its backups. */
export function tellOfDisabled(
  { automatedBackupConfig }: Pick<Instance, "automatedBackupConfig">,
  settings: ScheduleFlags,
  say: (line: string) => void,
): void {
  if (automatedBackupConfig.automatedBackupMode === "ENABLED") return;
  if ((settings.startTimeHours ?? settings.cron ?? settings.snapshotWindow) === undefined) return;
  say("automated backups are disabled: --automated-backup-config-mode=enabled takes them");
}
