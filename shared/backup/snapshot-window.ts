import { createHash } from "node:crypto";
import { StatusError } from "../error.ts";

/** A daily span of UTC. */
export interface SnapshotWindow {
  /** Minutes after midnight. */
  startMinute: number;
  /** Minutes, at least 60. */
  length: number;
}

const minutesOfDay = 24 * 60;

/** ElastiCache's shortest window, in minutes. */
const shortest = 60;

/** The longest that crosses midnight, in minutes: a longer one is more likely written the wrong way round. */
const longestAcrossMidnight = 12 * 60;

/** `15:00-16:00`, taken apart; `23:30-00:30` crosses midnight. INVALID_ARGUMENT says what is wrong with it. */
export function parseSnapshotWindow(text: string): SnapshotWindow {
  const shown = `snapshot window ${JSON.stringify(text.slice(0, 40))}`;
  const found = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  if (found === null) throw invalid(`malformed ${shown}: expected HH:MM-HH:MM in UTC, such as 15:00-16:00`);
  const [startHour = 0, startMinutes = 0, endHour = 0, endMinutes = 0] = found.slice(1).map(Number);
  const startMinute = startHour * 60 + startMinutes;
  const endMinute = endHour * 60 + endMinutes;
  if (endMinute === startMinute) throw invalid(`${shown} is empty: expected at least ${shortest} minutes`);
  const length = (endMinute - startMinute + minutesOfDay) % minutesOfDay;
  if (endMinute < startMinute && length > longestAcrossMidnight)
    throw invalid(`${shown} is reversed, or crosses midnight for more than ${longestAcrossMidnight / 60} hours`);
  if (length < shortest) throw invalid(`${shown} has ${length} minutes: expected at least ${shortest}`);
  return { startMinute, length };
}

/**
 * The minute of the day at which one of many starts within a window: always the same for a name, and spread evenly over
 * names, so that a fleet with one window does not start at once.
 */
export function minuteWithin({ startMinute, length }: SnapshotWindow, name: string): number {
  const spread = createHash("sha256").update(name).digest().readUInt32BE() % length;
  return (startMinute + spread) % minutesOfDay;
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
