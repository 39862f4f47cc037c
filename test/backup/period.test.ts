import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RetentionPolicy } from "../../shared/backup/backup.ts";
import { createCalendar, type Period } from "../../shared/backup/period.ts";
import { decide, type Entry } from "../../shared/backup/retention.ts";
import { entry } from "./catalogue.ts";

const utc = createCalendar("Etc/UTC");
const nobody: ReadonlySet<string> = new Set();

/** The days whose backups a policy keeps, long after all of them expired. */
function kept(times: string[], policy: RetentionPolicy): string[] {
  const catalogue: Entry[] = times.map((time) => entry(time));
  const decisions = decide(catalogue, policy, nobody, "2040-01-01T00:00:00.000Z");
  return times.filter((_, n) => decisions[n]?.action === "KEEP");
}

describe("a week", () => {
  it.each([
    // ISO 8601: the year's first week is that of its first Thursday.
    ["2019-12-30T00:00:00.000Z", "2020-W01"],
    ["2019-12-29T23:59:59.999Z", "2019-W52"],
    ["2020-12-31T12:00:00.000Z", "2020-W53"],
    ["2021-01-03T23:59:59.999Z", "2020-W53"],
    ["2021-01-04T00:00:00.000Z", "2021-W01"],
    ["2022-01-01T12:00:00.000Z", "2021-W52"],
    ["2023-01-01T12:00:00.000Z", "2022-W52"],
    ["2024-12-30T12:00:00.000Z", "2025-W01"],
    ["2026-12-31T12:00:00.000Z", "2026-W53"],
    ["2027-01-03T12:00:00.000Z", "2026-W53"],
    ["2027-01-04T12:00:00.000Z", "2027-W01"],
    ["1969-12-29T12:00:00.000Z", "1970-W01"],
    ["1969-12-28T12:00:00.000Z", "1969-W52"],
  ])("of %s is %s", (time, week) => expect(utc(time, "week")).toBe(week));

  it("that lies in two years keeps one backup, not two", () => {
    const times = ["2020-12-27", "2020-12-28", "2020-12-31", "2021-01-03", "2021-01-04"];
    expect(kept(times, { keepWeekly: 3 })).toEqual(["2020-12-27", "2021-01-03", "2021-01-04"]);
  });
  it("belongs to its own year: the first and the last of one year are two", () => {
    expect(kept(["2024-01-01", "2024-12-30", "2025-01-06"], { keepWeekly: 3 })).toHaveLength(3);
  });
});

describe("a leap day", () => {
  it("is a day of its own, and of February", () => {
    const leap = "2024-02-29T23:59:59.999Z";
    expect([utc(leap, "day"), utc(leap, "month"), utc(leap, "week")]).toEqual(["2024-02-29", "2024-02", "2024-W09"]);
    expect(kept(["2024-02-28", "2024-02-29", "2024-03-01"], { keepMonthly: 2 })).toEqual(["2024-02-29", "2024-03-01"]);
    expect(kept(["2024-02-28", "2024-02-29", "2024-03-01"], { keepDaily: 2 })).toEqual(["2024-02-29", "2024-03-01"]);
  });
  it("is not in 1900 and 2100, but in 2000", () => {
    for (const [time, day] of [
      ["2000-02-29T00:00:00.000Z", "2000-02-29"],
      ["2100-03-01T00:00:00.000Z", "2100-03-01"],
    ] as const)
      expect(utc(time, "day")).toBe(day);
  });
});

describe("a time zone", () => {
  it.each([
    ["Asia/Tokyo", "2026-11-20T14:59:59.999Z", "day", "2026-11-20"],
    ["Asia/Tokyo", "2026-11-20T15:00:00.000Z", "day", "2026-11-21"],
    ["Asia/Tokyo", "2026-12-31T15:00:00.000Z", "year", "2027"],
    ["Asia/Tokyo", "2021-01-03T15:00:00.000Z", "week", "2021-W01"],
    ["America/New_York", "2027-01-01T04:59:59.999Z", "month", "2026-12"],
    ["America/New_York", "2027-01-01T05:00:00.000Z", "month", "2027-01"],
    // Kathmandu is 5:45 ahead of UTC, the Chatham Islands 12:45 or 13:45: the odd quarters.
    ["Asia/Kathmandu", "2026-11-20T18:14:59.999Z", "day", "2026-11-20"],
    ["Asia/Kathmandu", "2026-11-20T18:15:00.000Z", "day", "2026-11-21"],
    ["Pacific/Chatham", "2026-11-20T10:14:59.999Z", "day", "2026-11-20"],
    ["Pacific/Chatham", "2026-11-20T10:15:00.000Z", "day", "2026-11-21"],
    // Summer time begins on 8 March 2026 at 2:00 and ends on 1 November at 2:00.
    ["America/New_York", "2026-03-08T04:59:59.999Z", "day", "2026-03-07"],
    ["America/New_York", "2026-03-09T03:59:59.999Z", "day", "2026-03-08"],
    ["America/New_York", "2026-03-09T04:00:00.000Z", "day", "2026-03-09"],
    ["America/New_York", "2026-11-02T04:59:59.999Z", "day", "2026-11-01"],
    // Samoa had no 30 December 2011.
    ["Pacific/Apia", "2011-12-30T09:59:59.999Z", "day", "2011-12-29"],
    ["Pacific/Apia", "2011-12-30T10:00:00.000Z", "day", "2011-12-31"],
  ] as const)("%s: %s is in the %s %s", (zone, time, period, name) => {
    expect(createCalendar(zone)(time, period)).toBe(name);
  });

  it("keeps both runs of the night in which the clock goes back, if they are of two days there", () => {
    const times = ["2026-11-01T03:30:00.000Z", "2026-11-01T05:30:00.000Z", "2026-11-01T06:30:00.000Z"];
    expect(kept(times, { keepDaily: 3, timeZone: "America/New_York" })).toEqual([times[0], times[2]]);
    expect(kept(times, { keepDaily: 3 })).toEqual([times[2]]);
  });
});

describe("for every time", () => {
  const time = fc
    .integer({ min: Date.UTC(1971, 0, 1), max: Date.UTC(2099, 11, 31) })
    .map((ms) => new Date(ms).toISOString());
  const zone = fc.constantFrom("Etc/UTC", "Asia/Tokyo", "America/New_York", "Pacific/Chatham", "America/St_Johns");

  it("days, months and years in UTC are those of its text", () => {
    fc.assert(
      fc.property(time, (at) => {
        const names = (["day", "month", "year"] as const).map((period) => utc(at, period));
        expect(names).toEqual([at.slice(0, 10), at.slice(0, 7), at.slice(0, 4)]);
      }),
    );
  });
  it("names rise with time, so that the newest of a period are its last", () => {
    fc.assert(
      fc.property(time, time, zone, fc.constantFrom<Period>("day", "week", "month", "year"), (a, b, where, period) => {
        const calendar = createCalendar(where);
        const [earlier, later] = a < b ? [a, b] : [b, a];
        expect(calendar(earlier, period) <= calendar(later, period)).toBe(true);
      }),
    );
  });
  it("seven days later is the next week, and no week is the 54th", () => {
    fc.assert(
      fc.property(time, (at) => {
        const next = new Date(Date.parse(at) + 7 * 86_400_000).toISOString();
        const [week, following] = [utc(at, "week"), utc(next, "week")];
        expect(following > week).toBe(true);
        expect(Number(week.slice(6))).toBeLessThanOrEqual(53);
        const isNewYear = following.slice(0, 4) !== week.slice(0, 4);
        expect(Number(following.slice(6))).toBe(isNewYear ? 1 : Number(week.slice(6)) + 1);
      }),
    );
  });
});
