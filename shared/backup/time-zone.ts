import { StatusError } from "../error.ts";

/** The clock on the wall of one time zone, its changeovers and all. */
export interface TimeZone {
  /** Milliseconds since 1970 as the wall shows them: what `Date.UTC` makes of the local date and time. */
  toLocal(time: number): number;
  /** The time at which the wall shows `local`. Of one that comes twice the first; for one that is left out, what follows the gap. */
  toTime(local: number): number;
}

/** INVALID_ARGUMENT unless it is a name of IANA's, such as `Asia/Tokyo`. */
export function assertTimeZone(timeZone: string): void {
  createTimeZone(timeZone);
}

export function createTimeZone(timeZone: string): TimeZone {
  const format = formatOf(timeZone);

  function toLocal(time: number): number {
    const parts = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) + (((time % 1000) + 1000) % 1000);
  }

  /** By the offset of the day before, which is right but after a changeover, and by that of the day after. */
  function toTime(local: number): number {
    const day = 86_400_000;
    const before = local - (toLocal(local - day) - (local - day));
    const after = local - (toLocal(local + day) - (local + day));
    if (toLocal(before) === local) return before;
    return toLocal(after) === local ? after : before;
  }

  return { toLocal, toTime };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  try {
    const format = new Intl.DateTimeFormat("en-u-ca-iso8601-hc-h23", {
      timeZone,
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    if (isSpeltRight(timeZone, format.resolvedOptions().timeZone)) return format;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  const shown = JSON.stringify(timeZone.slice(0, 60));
  throw new StatusError("INVALID_ARGUMENT", `unknown time zone ${shown}: expected an IANA name, such as Asia/Tokyo`);
}

/** Intl also takes `asia/tokyo` and `+09:00`, which Cloud Scheduler does not. `resolved` may be another name of the zone. */
function isSpeltRight(timeZone: string, resolved: string): boolean {
  const isOtherwise = timeZone !== resolved && timeZone.toLowerCase() === resolved.toLowerCase();
  return /^[A-Z]/.test(timeZone) && !isOtherwise;
}
