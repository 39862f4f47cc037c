import { parseDuration } from "../../../shared/backup/duration.ts";
import { readInstant } from "../instant.ts";

/** What a comparison can be made with. */
export type Leaf = string | number | boolean;

export const isLeaf = (value: unknown): value is Leaf => ["string", "number", "boolean"].includes(typeof value);

const sizeUnits: Record<string, number> = {
  ...{ b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/**
 * How a value stands to what was typed: below 0, 0 or above 0; `undefined` where the one cannot be compared with the other. The
 * value decides how the text is read: times as times, `…Bytes` as sizes, `…Seconds` as durations, text whatever its case.
 * `now`: milliseconds since 1970, for `-7d` and `7d`.
 */
export function orderOf(value: Leaf, field: string, operand: string, now: number): number | undefined {
  if (typeof value === "number") return orderOfNumbers(value, readNumber(field, operand));
  if (typeof value === "boolean") return orderOfNumbers(Number(value), readBoolean(operand));
  if (isTime(value)) return orderOfNumbers(Date.parse(value), readTime(operand, now));
  const [a, b] = [value.toLowerCase(), operand.toLowerCase()];
  return a === b ? 0 : a < b ? -1 : 1;
}

/** What `orderOf` expected for such a value. */
export function expectedFor(value: Leaf, field: string): string {
  if (typeof value === "boolean") return "true or false";
  if (typeof value === "string") return "a time such as 2027-01-31 or 2027-01-31T09:30Z, or -7d for seven days ago";
  if (field.endsWith("Bytes")) return "a size such as 500MB or 2GiB";
  return field.endsWith("Seconds") ? "a duration such as 14d" : "a number";
}

/** Whether text is a time as the documents have them: RFC 3339 in UTC. */
const isTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text);

const orderOfNumbers = (a: number, b: number | undefined): number | undefined =>
  b === undefined ? undefined : Math.sign(a - b);

function readNumber(field: string, text: string): number | undefined {
  const [, digits = "", unit = ""] = /^(-?\d{1,15}(?:\.\d{1,15})?)([A-Za-z]*)$/.exec(text) ?? [];
  if (digits === "") return undefined;
  if (unit === "") return Number(digits);
  if (field.endsWith("Seconds")) return secondsOf(text);
  const factor = field.endsWith("Bytes") ? sizeUnits[unit.toLowerCase()] : undefined;
  return factor === undefined ? undefined : Number(digits) * factor;
}

function readBoolean(text: string): number | undefined {
  const found = ["false", "true"].indexOf(text.toLowerCase());
  return found === -1 ? undefined : found;
}

/** An instant, or so long from now. In milliseconds since 1970. */
function readTime(text: string, now: number): number | undefined {
  const away = /^([+-]?)(\d+[smhdw])$/.exec(text);
  if (away?.[2] !== undefined) {
    const seconds = secondsOf(away[2]);
    return seconds === undefined ? undefined : now + (away[1] === "-" ? -1000 : 1000) * seconds;
  }
  return readInstant(text);
}

function secondsOf(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}
