/** Spans of a calendar, each of which keeps one backup. Weeks are those of ISO 8601. */
const periods = ["day", "week", "month", "year"] as const;
export type Period = (typeof periods)[number];

/** Days since 1970-01-01 of a local date, and its year and month. */
interface LocalDate {
  year: number;
  month: number;
  dayNumber: number;
}

const dayMs = 86_400_000;
const quarterHourMs = 900_000;

/** The name of the period in which a time falls. */
export type Calendar = (time: string, period: Period) => string;

/** Makes the calendar of a time zone, or answers the one that it made before: they are costly. RangeError: there is no such zone. */
export function createCalendars(): (timeZone: string) => Calendar {
  const made = new Map<string, Calendar>();
  return (timeZone) => {
    const calendar = made.get(timeZone) ?? createCalendar(timeZone);
    made.set(timeZone, calendar);
    return calendar;
  };
}

/**
 * A function that names the period in which a time falls, in a time zone: `2026-11-21`, `2026-W47`, `2026-11`, `2026`. Offsets of
 * zones change on whole quarter hours only, so those that were looked up are remembered by the quarter hour.
 */
export function createCalendar(timeZone: string): Calendar {
  const format = new Intl.DateTimeFormat("en-u-ca-iso8601", {
    timeZone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
  });
  const known = new Map<number, LocalDate>();

  function localDate(time: string): LocalDate {
    const quarter = Math.floor(Date.parse(time) / quarterHourMs);
    const found = known.get(quarter);
    if (found !== undefined) return found;
    const parts = format.formatToParts(quarter * quarterHourMs);
    const part = (type: string): number => Number(parts.find((one) => one.type === type)?.value);
    const [year, month] = [part("year"), part("month")];
    const date = { year, month, dayNumber: Date.UTC(year, month - 1, part("day")) / dayMs };
    known.set(quarter, date);
    return date;
  }

  return (time, period) => nameOf(localDate(time), period);
}

function nameOf({ year, month, dayNumber }: LocalDate, period: Period): string {
  switch (period) {
    case "day":
      return new Date(dayNumber * dayMs).toISOString().slice(0, 10);
    case "week":
      return weekOf(dayNumber);
    case "month":
      return `${year}-${String(month).padStart(2, "0")}`;
    case "year":
      return String(year);
  }
}

/** ISO 8601: a week begins on Monday and belongs to the year that has its Thursday. 1970-01-01 was a Thursday. */
function weekOf(dayNumber: number): string {
  const thursday = dayNumber + 3 - ((((dayNumber + 3) % 7) + 7) % 7);
  const year = new Date(thursday * dayMs).getUTCFullYear();
  const week = Math.floor((thursday - Date.UTC(year, 0, 1) / dayMs) / 7) + 1;
  return `${year}-W${String(week).padStart(2, "0")}`;
}
