import { StatusError } from "../error.ts";
import { timeOf } from "./duration.ts";
import { createTimeZone } from "./time-zone.ts";

export const weekdays = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"] as const;
export type DayOfWeek = (typeof weekdays)[number];

/** A span of every week, by the clock on the wall. */
export interface WeeklyMaintenanceWindow {
  day: DayOfWeek;
  startTime: { hours: number; minutes: number };
  /** Seconds, whole minutes; at most three days. */
  durationSeconds: number;
}

/**
 * What becomes of a scheduled backup that would start in a window. AVOID: it starts when the window ends. AVOID_BEFORE: it is
 * started before the window begins, or else when it ends. IGNORE: it starts as if there were none.
 */
export type BackupPolicy = "AVOID" | "AVOID_BEFORE" | "IGNORE";

/** When an instance may be worked at, and what that means for its backups. */
export interface MaintenancePolicy {
  /** At least one; none overlaps another. */
  weeklyMaintenanceWindow: WeeklyMaintenanceWindow[];
  /** IANA. */
  timeZone: string;
  /** AVOID where absent. */
  backupPolicy?: BackupPolicy;
}

/** One occurrence of a window, RFC 3339: `startTime` is within, `endTime` is not. */
export interface MaintenanceSpan {
  startTime: string;
  endTime: string;
}

/** The windows that Memorystore takes by default: Monday to Friday 22:00–06:00, and Friday 22:00–Monday 06:00. */
export const defaultWindows: readonly WeeklyMaintenanceWindow[] = [
  ...(["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY"] as const).map((day) => nightly(day, 8)),
  nightly("FRIDAY", 56),
];

const minute = 60_000;
const dayMs = 24 * 60 * minute;
const week = 7 * dayMs;

/** The longest window, and what a week must keep free of windows, in milliseconds. */
const longest = 3 * dayMs;
const leastFree = 60 * minute;

/** The window that a time is in, to its end: windows that touch are one. `undefined`: it is in none. */
export function windowAt(policy: MaintenancePolicy, time: string): MaintenanceSpan | undefined {
  const at = Date.parse(time);
  const spans = spansAround(policy, at);
  const within = spans.find(({ start, end }) => start <= at && at < end);
  if (within === undefined) return undefined;
  let { start, end } = within;
  for (const span of spans) if (span.start > start && span.start <= end) end = Math.max(end, span.end);
  for (const span of spans.toReversed()) if (span.start < start && span.end >= start) start = span.start;
  return { startTime: timeOf(start), endTime: timeOf(end) };
}

/** Refuses with INVALID_ARGUMENT windows that are malformed, overlap, or leave no time in the week. */
export function assertMaintenancePolicy({ weeklyMaintenanceWindow, timeZone }: MaintenancePolicy): void {
  createTimeZone(timeZone);
  if (weeklyMaintenanceWindow.length === 0) throw invalid("there is no window: expected at least one");
  for (const window of weeklyMaintenanceWindow) assertWindow(window);
  const spans = weeklyMaintenanceWindow
    .map((window) => ({ window, start: startOf(window), end: startOf(window) + window.durationSeconds * 1000 }))
    .sort((a, b) => a.start - b.start);
  for (const [n, { window, end }] of spans.entries()) {
    const next = spans[n + 1] ?? { window: spans[0]?.window ?? window, start: (spans[0]?.start ?? 0) + week };
    if (end > next.start && spans.length > 1)
      throw invalid(`${windowText(window)} and ${windowText(next.window)} overlap`);
  }
  const free = week - spans.reduce((sum, { start, end }) => sum + end - start, 0);
  if (free < leastFree)
    throw invalid(
      `the windows leave ${free / minute} minutes of the week free: expected at least ${leastFree / minute}`,
    );
}

/** A window as a person writes it: `fri:22:00-mon:06:00`. */
export function windowText({ day, startTime, durationSeconds }: WeeklyMaintenanceWindow): string {
  const start = startOf({ day, startTime });
  return `${momentText(start)}-${momentText((start + durationSeconds * 1000) % week)}`;
}

function assertWindow(window: WeeklyMaintenanceWindow): void {
  const { hours, minutes } = window.startTime;
  if (!weekdays.includes(window.day)) throw invalid(`unknown day ${JSON.stringify(window.day)}`);
  if (!isWithin(hours, 23) || !isWithin(minutes, 59)) throw invalid(`start ${hours}:${minutes} is no time of the day`);
  const duration = window.durationSeconds * 1000;
  if (!(duration > 0) || duration % minute !== 0)
    throw invalid(`a window of ${window.durationSeconds} seconds: expected whole minutes, more than none`);
  if (duration > longest)
    throw invalid(
      `${windowText(window)} lasts ${duration / 3_600_000} hours: expected at most ${longest / 3_600_000}; is it reversed?`,
    );
}

/** The occurrences of all windows in the weeks around a time, in their order. */
function spansAround({ weeklyMaintenanceWindow, timeZone }: MaintenancePolicy, at: number) {
  const zone = createTimeZone(timeZone);
  const local = zone.toLocal(at);
  const monday = local - ((((local - 4 * dayMs) % week) + week) % week); // 1970-01-05 was a Monday
  return [-1, 0, 1]
    .flatMap((weeks) =>
      weeklyMaintenanceWindow.map((window) => {
        const start = monday + weeks * week + startOf(window);
        return { start: zone.toTime(start), end: zone.toTime(start + window.durationSeconds * 1000) };
      }),
    )
    .sort((a, b) => a.start - b.start);
}

/** Milliseconds after Monday, 00:00. */
const startOf = ({ day, startTime }: Pick<WeeklyMaintenanceWindow, "day" | "startTime">): number =>
  weekdays.indexOf(day) * dayMs + (startTime.hours * 60 + startTime.minutes) * minute;

function momentText(moment: number): string {
  const day = weekdays[Math.floor(moment / dayMs)] ?? "";
  return `${day.slice(0, 3).toLowerCase()}:${new Date(moment).toISOString().slice(11, 16)}`;
}

function nightly(day: DayOfWeek, hours: number): WeeklyMaintenanceWindow {
  return { day, startTime: { hours: 22, minutes: 0 }, durationSeconds: hours * 3600 };
}

const isWithin = (value: number, most: number): boolean => Number.isInteger(value) && value >= 0 && value <= most;

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", `maintenance policy: ${message}`);
