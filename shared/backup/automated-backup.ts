import { StatusError } from "../error.ts";
import type { AutomatedBackupConfig } from "./backup.ts";
import { oneOf } from "./choice.ts";
import { retentionSeconds } from "./duration.ts";
import { assertSchedule } from "./schedule.ts";
import { parseSnapshotWindow } from "./snapshot-window.ts";

/** What a person says of automated backups, as text. */
export interface ScheduleFlags {
  /** `enabled` or `disabled`. */
  automatedBackupMode?: string | undefined;
  /** 0 to 23, UTC. */
  startTimeHours?: string | undefined;
  /** Five fields. */
  cron?: string | undefined;
  /** IANA; of the cron. */
  timeZone?: string | undefined;
  /** `15:00-16:00`, UTC. */
  snapshotWindow?: string | undefined;
  /** `1d` to `365d`, or `0d` for no automated backups. */
  retention?: string | undefined;
}

const modes = { ENABLED: "ENABLED", DISABLED: "DISABLED" } as const;

/**
 * The config with what the flags say changed. An hour, a cron and a window are three ways to say when: one of them replaces
 * the others, and two at once are refused.
 */
export function changedConfig(config: AutomatedBackupConfig, flags: ScheduleFlags): AutomatedBackupConfig {
  const { fixedFrequencySchedule, cronSchedule, snapshotWindow, ...rest } = config;
  const { automatedBackupMode, retention } = flags;
  return {
    ...rest,
    ...(changedTimes(config, flags) ?? {
      ...(fixedFrequencySchedule !== undefined && { fixedFrequencySchedule }),
      ...(cronSchedule !== undefined && { cronSchedule }),
      ...(snapshotWindow !== undefined && { snapshotWindow }),
    }),
    ...(automatedBackupMode !== undefined && {
      automatedBackupMode: oneOf("automated backup mode", automatedBackupMode, modes),
    }),
    ...(retention !== undefined && { retentionSeconds: retentionSeconds(retention) }),
  };
}

type Times = Pick<AutomatedBackupConfig, "fixedFrequencySchedule" | "cronSchedule" | "snapshotWindow">;

/** What replaces the config's own times; `undefined` where no flag says when. */
function changedTimes({ cronSchedule: before }: AutomatedBackupConfig, flags: ScheduleFlags): Times | undefined {
  const { startTimeHours, cron, timeZone, snapshotWindow } = flags;
  assertOneWay(flags);
  if (startTimeHours !== undefined)
    return { fixedFrequencySchedule: { startTime: { hours: hoursOf(startTimeHours) } } };
  if (snapshotWindow !== undefined) {
    parseSnapshotWindow(snapshotWindow);
    return { snapshotWindow };
  }
  if (cron === undefined && timeZone === undefined) return undefined;
  const fields = cron?.trim().replaceAll(/\s+/g, " ") ?? before?.cron;
  if (fields === undefined) throw invalid("a time zone is of use only with a cron: the other schedules are in UTC");
  const cronSchedule = { cron: fields, timeZone: timeZone ?? before?.timeZone ?? "Etc/UTC" };
  assertSchedule(cronSchedule);
  return { cronSchedule };
}

function assertOneWay({ startTimeHours, cron, timeZone, snapshotWindow }: ScheduleFlags): void {
  const given = [
    startTimeHours !== undefined && "a start time",
    (cron ?? timeZone) !== undefined && "a cron with its time zone",
    snapshotWindow !== undefined && "a snapshot window",
  ].filter((way) => way !== false);
  if (given.length > 1) throw invalid(`${given.join(" and ")} contradict each other: expected one of them`);
}

function hoursOf(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) <= 23) return Number(text);
  const shown = JSON.stringify(text.slice(0, 80));
  throw invalid(`malformed start time ${shown}: expected a whole hour from 0 to 23, in UTC`);
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
