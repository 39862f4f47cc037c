import { StatusError } from "../error.ts";

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

/** One day in seconds. */
export const day = 86_400;

/** Memorystore's shortest and longest life of a backup: 1 day to 100 years; the longest is the default. */
export const ttlBounds = { least: day, most: 36_500 * day, default: 36_500 * day } as const;

/** Memorystore's bounds of automated retention: 1 to 365 days, default 35. */
const retentionBounds = { least: day, most: 365 * day, default: 35 * day } as const;

/** How long a tombstone can be undone, in seconds, where nobody says otherwise. */
export const defaultGrace = day;

/** The grace of a tombstone in seconds: at most ten years, so that its end is a time that sorts as text. */
export function graceSeconds(text: string | undefined): number {
  if (text === undefined) return defaultGrace;
  const seconds = parseDuration(text);
  if (seconds <= 3650 * day) return seconds;
  throw new StatusError("INVALID_ARGUMENT", `grace ${text} is out of bounds: expected at most 3650d`);
}

/** How old the newest verified backup of an instance may be, in seconds; a minute to a year. */
export function objectiveSeconds(text: string): number {
  const seconds = parseDuration(text);
  if (seconds >= 60 && seconds <= 366 * day) return seconds;
  throw new StatusError("INVALID_ARGUMENT", `backup objective ${text} is out of bounds: expected 1m to 366d`);
}

/** `14d`, `36h` or `3600s` in seconds. A number without a unit is refused: nobody should guess it. */
export function parseDuration(text: string): number {
  const found = /^(\d{1,12})([smhdw])$/.exec(text);
  const unit = units[found?.[2] ?? ""];
  if (found?.[1] === undefined || unit === undefined)
    throw new StatusError(
      "INVALID_ARGUMENT",
      `malformed duration ${JSON.stringify(text.slice(0, 40))}: expected a number and one of s, m, h, d, w, such as 14d`,
    );
  return Number(found[1]) * unit;
}

/** The time to live of a backup in seconds; refuses less than a day and more than 100 years. */
export function ttlSeconds(text: string | undefined): number {
  if (text === undefined) return ttlBounds.default;
  const seconds = parseDuration(text);
  if (seconds >= ttlBounds.least && seconds <= ttlBounds.most) return seconds;
  throw new StatusError("INVALID_ARGUMENT", `ttl ${text} is out of bounds: expected 1d to 36500d (100 years)`);
}

/** The retention of automated backups in seconds: whole days, 1 to 365; `0d` takes none, as ElastiCache has it. */
export function retentionSeconds(text: string | undefined): number {
  if (text === undefined) return retentionBounds.default;
  const seconds = parseDuration(text);
  const isWhole = seconds % day === 0;
  const isWithin = seconds >= retentionBounds.least && seconds <= retentionBounds.most;
  if (seconds === 0 || (isWhole && isWithin)) return seconds;
  throw new StatusError(
    "INVALID_ARGUMENT",
    `retention ${text} is out of bounds: expected 1d to 365d in whole days, or 0d to take no automated backups`,
  );
}

/** A time `seconds` after `time`, both RFC 3339 in UTC. */
export const later = (time: string, seconds: number): string => timeOf(Date.parse(time) + seconds * 1000);

/** Milliseconds since 1970 as RFC 3339 in UTC with milliseconds: sorts as text as it sorts as time. */
export const timeOf = (milliseconds: number): string => new Date(milliseconds).toISOString();
