import { Cron } from "croner";
import { StatusError } from "../error.ts";
import type { Instance } from "./backup.ts";
import { timeOf } from "./duration.ts";
import { isInstanceId } from "./name.ts";
import { minuteWithin, parseSnapshotWindow } from "./snapshot-window.ts";
import { assertTimeZone } from "./time-zone.ts";

/** Five-field cron and an IANA time zone, as Cloud Scheduler takes them. */
export interface Schedule {
  cron: string;
  timeZone: string;
}

/** Cloud Scheduler may publish a little before the time it was due, in milliseconds. */
const early = 30_000;

/** When an instance's automated backups are due; `undefined` while they are DISABLED or kept for no time. */
export function scheduleOf({ name, automatedBackupConfig }: Instance): Schedule | undefined {
  const { automatedBackupMode, retentionSeconds, ...times } = automatedBackupConfig;
  if (automatedBackupMode === "DISABLED" || retentionSeconds === 0) return undefined;
  if (times.cronSchedule !== undefined) return times.cronSchedule;
  const minute =
    times.snapshotWindow === undefined
      ? (times.fixedFrequencySchedule?.startTime.hours ?? 0) * 60
      : minuteWithin(parseSnapshotWindow(times.snapshotWindow), name);
  return { cron: `${minute % 60} ${Math.floor(minute / 60)} * * *`, timeZone: "Etc/UTC" };
}

export const isSameSchedule = (a: Schedule | undefined, b: Schedule | undefined): boolean =>
  a?.cron === b?.cron && a?.timeZone === b?.timeZone;

const jobPrefix = "valkeep-backup-";

/** The last segment of the name of an instance's Cloud Scheduler job. */
export const jobId = (instanceId: string): string => `${jobPrefix}${instanceId}`;

/** The id of the instance whose job this is; `undefined` for any other job. */
export function instanceOfJob(id: string): string | undefined {
  const instanceId = id.startsWith(jobPrefix) ? id.slice(jobPrefix.length) : "";
  return isInstanceId(instanceId) ? instanceId : undefined;
}

/** The longest cron that a message carries, in characters. */
export const longestCron = 120;

/** Refuses a cron that is not five fields, an unknown time zone, and a cron that never comes, such as 31 February. */
export function assertSchedule({ cron, timeZone }: Schedule): void {
  if (cron.length > longestCron)
    throw malformed(`a cron of ${cron.length} characters: expected at most ${longestCron}`);
  if (cronOf({ cron, timeZone }).nextRun(new Date(0)) === null)
    throw malformed(`cron "${cron.slice(0, 60)}" never comes due: no date has that day and month`);
}

/**
 * The slot that a scheduled message stands for: the latest due time at or before its publish time + 30 s, RFC 3339.
 * Two messages of one slot are one request.
 */
export function slotOf(schedule: Schedule, publishTime: string): string {
  const slot = lastDueTimes(schedule, timeOf(Date.parse(publishTime) + early), 1)[0];
  if (slot === undefined) throw malformed(`cron "${schedule.cron}" was never due before ${publishTime}`);
  return slot;
}

/** The latest `count` due times at or before `time`, the latest first. */
export function lastDueTimes(schedule: Schedule, time: string, count: number): string[] {
  const until = Math.floor(Date.parse(time) / 1000) * 1000 + 1000; // croner takes whole seconds, and what is before
  return cronOf(schedule)
    .previousRuns(count, new Date(until))
    .map((due) => timeOf(due.getTime()));
}

/** The first due time after `time`. */
export function nextDueTime(schedule: Schedule, time: string): string | undefined {
  return cronOf(schedule).nextRun(new Date(time))?.toISOString();
}

/** Of croner's dialect only what unix-cron has, and so Cloud Scheduler: digits, `* , - /`, names of months and of days. */
const cronField = /^(?:[\d*,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+$/i;

/** Whether these are the fields of a cron as unix-cron writes it. */
export function isUnixCron(cron: string): boolean {
  const fields = cron.trim().split(/\s+/);
  return fields.length === 5 && fields.every((field) => cronField.test(field));
}

/** How far runs are looked at: weeks and, for those that seldom come, so many runs show every gap that there is. */
const horizon = { milliseconds: 35 * 86_400_000, leastRuns: 13, mostRuns: 1000 };

/** The longest time between two runs of a schedule that follow each other, in seconds, from the last run on. */
export function longestGap(schedule: Schedule, now: string): number {
  const cron = cronOf(schedule);
  const end = Date.parse(now) + horizon.milliseconds;
  let longest = 0;
  let last = cron.previousRuns(1, new Date(now))[0] ?? cron.nextRun(new Date(now));
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
  if (!isUnixCron(cron)) throw malformed(`${shown}: expected five fields of unix-cron, such as 0 2 * * *`);
  assertTimeZone(timeZone);
  try {
    return new Cron(cron, { timezone: timeZone, mode: "5-part" });
  } catch (error) {
    throw malformed(`${shown}: ${error instanceof Error ? error.message : error}`);
  }
}

const malformed = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
