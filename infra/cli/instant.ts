/**
 * A day, or a time to the minute or finer, in UTC unless it names an offset, in milliseconds since 1970; `undefined` for anything
 * else, a day that no calendar has among it.
 */
export function readInstant(text: string): number | undefined {
  const found = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text);
  if (found === null) return undefined;
  const [, day = "", time = "00:00", zone = "Z"] = found;
  const milliseconds = Date.parse(`${day}T${time}${zone}`);
  // Date.parse takes 31 February for 3 March.
  const isDay = new Date(`${day}T00:00Z`).getUTCDate() === Number(day.slice(8));
  return Number.isNaN(milliseconds) || !isDay ? undefined : milliseconds;
}
