import { Cron } from "croner";
import { StatusError } from "../error.ts";
import type { Instance } from "./backup.ts";
import { timeOf } from "./duration.ts";

/** Five-field cron and an IANA time zone, as Cloud Scheduler takes them. */
export interface Schedule {
  cron: string;
  timeZone: string;
}

/** Cloud Scheduler may publish a little before the time it was due. */
const early = 30_000;

/** When an instance's automated backups are due; `undefined` while they are DISABLED. */
export function scheduleOf(instance: Instance): Schedule | undefined {
  const { automatedBackupMode, fixedFrequencySchedule } = instance.automatedBackupConfig;
  if (automatedBackupMode === "DISABLED") return undefined;
  return { cron: `0 ${fixedFrequencySchedule?.startTime.hours ?? 0} * * *`, timeZone: "Etc/UTC" };
}

/** The last segment of the name of an instance's Cloud Scheduler job. */
export const jobId = (instanceId: string): string => `valkeep-backup-${instanceId}`;

/** Refuses a cron that is not five fields, an unknown time zone, and a cron that never comes. */
export function assertSchedule({ cron, timeZone }: Schedule): void {
  if (cronOf({ cron, timeZone }).nextRun() === null) throw malformed(`cron "${cron}" never comes due`);
}

/**
 * The slot that a scheduled message stands for: the latest due time at or before its publish time + 30 s, RFC 3339.
 * Two messages of one slot are one request.
 */
export function slotOf(schedule: Schedule, publishTime: string): string {
  const until = new Date(Date.parse(publishTime) + early + 1000);
  const slot = cronOf(schedule).previousRuns(1, until)[0];
  if (slot === undefined) throw malformed(`cron "${schedule.cron}" was never due before ${publishTime}`);
  return timeOf(slot.getTime());
}

/** How far runs are looked at: weeks and, for those that seldom come, so many runs show every gap that there is. */
const horizon = { milliseconds: 35 * 86_400_000, leastRuns: 13, mostRuns: 1000 };

/** The longest time between two runs of a schedule that follow each other, in seconds. */
export function longestGap(schedule: Schedule, now: string): number {
  const cron = cronOf(schedule);
  const end = Date.parse(now) + horizon.milliseconds;
  let longest = 0;
  let last = cron.nextRun(new Date(now));
  for (let run = 1; last !== null && run < horizon.mostRuns; run++) {
    if (last.getTime() > end && run > horizon.leastRuns) break;
    const next = cron.nextRun(last);
    if (next !== null) longest = Math.max(longest, next.getTime() - last.getTime());
    last = next;
  }
  return longest / 1000;
}

function cronOf({ cron, timeZone }: Schedule): Cron {
  const shown = `cron "${cron.slice(0, 60)}" in time zone "${timeZone.slice(0, 60)}"`;
  if (cron.trim().split(/\s+/).length !== 5) throw malformed(`${shown}: expected five fields`);
  try {
    Intl.DateTimeFormat("en", { timeZone });
    return new Cron(cron, { timezone: timeZone, mode: "5-part" });
  } catch (error) {
    throw malformed(`${shown}: ${error instanceof Error ? error.message : error}`);
  }
}

const malformed = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
