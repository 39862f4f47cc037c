import { array, assert, constantFrom, integer, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { later, timeOf } from "../../shared/backup/duration.ts";
import {
  assertMaintenancePolicy,
  defaultWindows,
  type MaintenancePolicy,
  type WeeklyMaintenanceWindow,
  weekdays,
  windowAt,
  windowText,
} from "../../shared/backup/maintenance.ts";
import { changedMaintenance, type MaintenanceFlags } from "../../shared/backup/maintenance-flags.ts";
import { createTimeZone } from "../../shared/backup/time-zone.ts";

const policyOf = (maintenanceWindow: string, maintenanceTimeZone = "Etc/UTC"): MaintenancePolicy => {
  const policy = changedMaintenance(undefined, { maintenanceWindow, maintenanceTimeZone });
  if (policy === undefined) throw new Error("no policy");
  return policy;
};

describe("a maintenance window", () => {
  it.each([
    ["its first moment", "2026-01-01T22:00:00.000Z", true],
    ["its last millisecond", "2026-01-01T23:29:59.999Z", true],
    ["its end", "2026-01-01T23:30:00.000Z", false],
    ["the moment before", "2026-01-01T21:59:59.999Z", false],
    ["the same hour of another day", "2026-01-02T22:10:00.000Z", false],
    ["the next week", "2026-01-08T22:10:00.000Z", true],
  ])("%s", (_, time, isWithin) => {
    const span = windowAt(policyOf("thu:22:00-thu:23:30"), time);
    expect(span !== undefined).toBe(isWithin);
    if (span !== undefined)
      expect([span.startTime.slice(11), span.endTime.slice(11)]).toEqual(["22:00:00.000Z", "23:30:00.000Z"]);
  });

  it("is by the clock of its zone", () => {
    expect(windowAt(policyOf("fri:00:00-fri:01:00", "Asia/Tokyo"), "2026-01-01T15:30:00.000Z")).toEqual({
      startTime: "2026-01-01T15:00:00.000Z",
      endTime: "2026-01-01T16:00:00.000Z",
    });
  });

  it("may go over the end of the week and of the year", () => {
    expect(windowAt(policyOf("sun:23:00-mon:01:00"), "2026-01-05T00:30:00.000Z")).toEqual({
      startTime: "2026-01-04T23:00:00.000Z",
      endTime: "2026-01-05T01:00:00.000Z",
    });
  });

  it("and those that touch it are one", () => {
    expect(
      windowAt(policyOf("mon:22:00-tue:00:00,tue:00:00-tue:06:00,sun:06:00-mon:22:00"), "2026-01-05T23:00:00.000Z"),
    ).toEqual({
      startTime: "2026-01-04T06:00:00.000Z",
      endTime: "2026-01-06T06:00:00.000Z",
    });
  });

  it.each([
    ["shorter in spring", "2026-03-28T21:00:00.000Z", "2026-03-29T04:00:00.000Z"],
    ["longer in autumn", "2026-10-24T20:00:00.000Z", "2026-10-25T05:00:00.000Z"],
  ])("of the night of a changeover is an hour %s", (_, startTime, endTime) => {
    const policy = policyOf("sat:22:00-sun:06:00", "Europe/Berlin");
    expect(windowAt(policy, later(startTime, 4 * 3600))).toEqual({ startTime, endTime });
  });

  it("by default is each night and the weekend", () => {
    const policy = policyOf("default");
    expect(policy.weeklyMaintenanceWindow).toEqual(defaultWindows);
    expect(windowAt(policy, "2026-01-03T12:00:00.000Z")).toEqual({
      startTime: "2026-01-02T22:00:00.000Z",
      endTime: "2026-01-05T06:00:00.000Z",
    });
    expect(windowAt(policy, "2026-01-06T05:00:00.000Z")?.endTime).toBe("2026-01-06T06:00:00.000Z");
    expect(windowAt(policy, "2026-01-06T12:00:00.000Z")).toBeUndefined();
  });
});

describe("windows", () => {
  const zones = ["Etc/UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"];
  const window = record({
    day: constantFrom(...weekdays),
    startTime: record({ hours: integer({ min: 0, max: 23 }), minutes: constantFrom(0, 15, 30, 59) }),
    durationSeconds: integer({ min: 1, max: 3 * 1440 }).map((minutes) => minutes * 60),
  });
  const policies = record({
    weeklyMaintenanceWindow: array(window, { minLength: 1, maxLength: 4 }),
    timeZone: constantFrom(...zones),
  });
  const times = integer({ min: Date.UTC(2025, 0, 1) / 1000, max: Date.UTC(2030, 0, 1) / 1000 }).map((seconds) =>
    timeOf(seconds * 1000),
  );
  const isGood = (policy: MaintenancePolicy): boolean => {
    try {
      assertMaintenancePolicy(policy);
      return true;
    } catch {
      return false;
    }
  };

  it("hold each of their moments, and neither their end nor the moment before", () => {
    let within = 0;
    assert(
      property(policies, times, (policy, time) => {
        if (!isGood(policy)) return;
        const span = windowAt(policy, time);
        if (span === undefined) return;
        within++;
        expect(span.startTime <= time && time < span.endTime).toBe(true);
        expect(windowAt(policy, span.startTime)).toEqual(span);
        expect(windowAt(policy, timeOf(Date.parse(span.endTime) - 1))).toEqual(span);
        expect(windowAt(policy, span.endTime)).toBeUndefined();
        expect(windowAt(policy, timeOf(Date.parse(span.startTime) - 1))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
    expect(within).toBeGreaterThan(20);
  });

  it("are found by the wall's own hour of the week, away from changeovers", () => {
    const week = 7 * 86_400_000;
    assert(
      property(window, constantFrom(...zones), times, (one, timeZone, time) => {
        const { toLocal } = createTimeZone(timeZone);
        const at = Date.parse(time);
        const isSteady = toLocal(at + week / 2) - toLocal(at - week / 2) === week;
        if (!isSteady) return;
        const start =
          (weekdays.indexOf(one.day) * 24 + one.startTime.hours) * 3_600_000 + one.startTime.minutes * 60_000;
        const monday = 4 * 86_400_000; // 1970-01-05
        const passed = (((toLocal(at) - monday - start) % week) + week) % week;
        const isWithin = windowAt({ weeklyMaintenanceWindow: [one], timeZone }, time) !== undefined;
        expect(isWithin).toBe(passed < one.durationSeconds * 1000);
      }),
      { numRuns: 500 },
    );
  });

  it("are written as they are read", () => {
    assert(
      property(window, (one) => {
        expect(policyOf(windowText(one)).weeklyMaintenanceWindow).toEqual([one]);
      }),
    );
  });

  it.each<[string, MaintenanceFlags, RegExp]>([
    [
      "that overlap",
      { maintenanceWindow: "mon:22:00-tue:06:00,tue:05:00-tue:07:00" },
      /mon:22:00-tue:06:00 and tue:05:00-tue:07:00 overlap/,
    ],
    [
      "that overlap over the end of the week",
      { maintenanceWindow: "mon:00:00-mon:02:00,sun:23:00-mon:01:00" },
      /overlap/,
    ],
    ["of which two are the same", { maintenanceWindow: "mon:00:00-mon:02:00,mon:00:00-mon:02:00" }, /overlap/],
    ["that are empty", { maintenanceWindow: "mon:22:00-mon:22:00" }, /more than none/],
    ["that are reversed", { maintenanceWindow: "mon:22:00-mon:20:00" }, /lasts 166 hours.*is it reversed/],
    ["that are too long", { maintenanceWindow: "mon:00:00-thu:00:01" }, /expected at most 72/],
    [
      "that leave no free time",
      { maintenanceWindow: "mon:00:00-wed:00:00,wed:00:00-fri:00:00,fri:00:00-mon:00:00" },
      /leave 0 minutes/,
    ],
    ["of an unknown day", { maintenanceWindow: "xyz:22:00-mon:06:00" }, /malformed maintenance window/],
    ["of hour 24", { maintenanceWindow: "mon:24:00-tue:06:00" }, /malformed/],
    ["that are nothing", { maintenanceWindow: "" }, /malformed/],
    ["in an unknown zone", { maintenanceWindow: "default", maintenanceTimeZone: "Mars/Olympus" }, /unknown time zone/],
    [
      "of an unknown policy",
      { maintenanceWindow: "default", maintenanceBackupPolicy: "skip" },
      /expected one of avoid, avoid-before, ignore/,
    ],
    ["of which there are none, but a policy", { maintenanceBackupPolicy: "ignore" }, /there is no maintenance window/],
  ])("%s are refused", (_, flags, message) => {
    expect(() => changedMaintenance(undefined, flags)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) }),
    );
  });

  const nightly: WeeklyMaintenanceWindow = {
    day: "MONDAY",
    startTime: { hours: 22, minutes: 0 },
    durationSeconds: 3600,
  };
  it.each<[string, Partial<WeeklyMaintenanceWindow>, RegExp]>([
    ["last less than nothing", { durationSeconds: -3600 }, /more than none/],
    ["last part of a minute", { durationSeconds: 90.5 }, /whole minutes/],
    ["last no number", { durationSeconds: Number.NaN }, /whole minutes/],
    ["begin at hour 25", { startTime: { hours: 25, minutes: 0 } }, /no time of the day/],
  ])("that %s are refused, however they came", (_, changes, message) => {
    const weeklyMaintenanceWindow = [{ ...nightly, ...changes }];
    expect(() => assertMaintenancePolicy({ weeklyMaintenanceWindow, timeZone: "Etc/UTC" })).toThrow(message);
  });
});

describe("a maintenance policy", () => {
  it("keeps what no flag names, and goes with none", () => {
    const before = policyOf("mon:22:00-tue:06:00", "Asia/Tokyo");
    expect(changedMaintenance(before, {})).toBe(before);
    expect(changedMaintenance(before, { maintenanceBackupPolicy: "avoid-before" })).toEqual({
      ...before,
      backupPolicy: "AVOID_BEFORE",
    });
    expect(changedMaintenance(before, { maintenanceWindow: "default" })?.timeZone).toBe("Asia/Tokyo");
    expect(changedMaintenance(before, { maintenanceWindow: "none" })).toBeUndefined();
  });
});
