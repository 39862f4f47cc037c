import { assert, constantFrom, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import type { AutomatedBackupConfig, Instance } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import { changedInstance, type InstanceFlags, newInstance } from "../../shared/backup/instance.ts";
import {
  assertSchedule,
  instanceOfJob,
  jobId,
  lastDueTimes,
  nextDueTime,
  type Schedule,
  scheduleOf,
  slotOf,
} from "../../shared/backup/schedule.ts";
import { minuteWithin, parseSnapshotWindow } from "../../shared/backup/snapshot-window.ts";
import { createTimeZone } from "../../shared/backup/time-zone.ts";

const registered = "2026-01-01T00:00:00.000Z";
const later = "2026-02-01T00:00:00.000Z";

const made = (flags: InstanceFlags = {}, id = "orders"): Instance =>
  newInstance(
    { automatedBackupMode: "enabled", ...flags, id, endpoint: "10.0.0.3:6379", location: "asia-northeast1" },
    "uid",
    registered,
  );
const configOf = (flags: InstanceFlags, before = made()): AutomatedBackupConfig =>
  changedInstance(before, flags, later).automatedBackupConfig;

describe("the schedule of an instance", () => {
  it.each<[string, InstanceFlags, Schedule]>([
    ["an hour", { startTimeHours: "2" }, { cron: "0 2 * * *", timeZone: "Etc/UTC" }],
    ["nothing, midnight", {}, { cron: "0 0 * * *", timeZone: "Etc/UTC" }],
    [
      "a cron and its zone",
      { cron: "30 4 * * 1-5", timeZone: "Asia/Tokyo" },
      { cron: "30 4 * * 1-5", timeZone: "Asia/Tokyo" },
    ],
    ["a cron alone, UTC", { cron: "*/15 * * * *" }, { cron: "*/15 * * * *", timeZone: "Etc/UTC" }],
    ["a cron with spaces to spare", { cron: "  0  * *  * * " }, { cron: "0 * * * *", timeZone: "Etc/UTC" }],
  ])("is told by %s", (_, flags, schedule) => expect(scheduleOf(made(flags))).toEqual(schedule));

  it.each<[string, InstanceFlags]>([
    ["DISABLED", { automatedBackupMode: "disabled", startTimeHours: "2" }],
    ["kept for no time", { retention: "0d", startTimeHours: "2" }],
  ])("is none where automated backups are %s", (_, flags) => expect(scheduleOf(made(flags))).toBeUndefined());

  it("is one minute of the snapshot window, always the same for a name", () => {
    const { cron, timeZone } = scheduleOf(made({ snapshotWindow: "15:00-16:00" })) ?? { cron: "", timeZone: "" };
    expect([cron, timeZone]).toEqual([expect.stringMatching(/^[1-5]?\d 15 \* \* \*$/), "Etc/UTC"]);
    expect(scheduleOf(made({ snapshotWindow: "15:00-16:00" }))?.cron).toBe(cron);
  });

  it.each<[InstanceFlags, keyof AutomatedBackupConfig]>([
    [{ startTimeHours: "3" }, "fixedFrequencySchedule"],
    [{ cron: "0 * * * *" }, "cronSchedule"],
    [{ snapshotWindow: "01:00-02:00" }, "snapshotWindow"],
  ])("by %j replaces what told it before", (flags, field) => {
    for (const before of [{ startTimeHours: "9" }, { cron: "9 9 * * *" }, { snapshotWindow: "09:00-10:00" }]) {
      const config = configOf(flags, made(before));
      const set = (["fixedFrequencySchedule", "cronSchedule", "snapshotWindow"] as const).filter(
        (way) => way in config,
      );
      expect(set).toEqual([field]);
    }
  });

  it("keeps its cron when only the zone changes, and its zone when only the cron does", () => {
    const before = made({ cron: "0 5 * * *", timeZone: "Asia/Tokyo" });
    expect(configOf({ timeZone: "Europe/Berlin" }, before).cronSchedule).toEqual({
      cron: "0 5 * * *",
      timeZone: "Europe/Berlin",
    });
    expect(configOf({ cron: "0 6 * * *" }, before).cronSchedule).toEqual({ cron: "0 6 * * *", timeZone: "Asia/Tokyo" });
  });

  it.each<[string, InstanceFlags, RegExp]>([
    ["an hour and a cron", { startTimeHours: "2", cron: "0 3 * * *" }, /a start time and a cron .* contradict/],
    ["a cron and a window", { cron: "0 3 * * *", snapshotWindow: "01:00-02:00" }, /contradict/],
    ["an hour and a zone", { startTimeHours: "2", timeZone: "Asia/Tokyo" }, /contradict/],
    ["all three", { startTimeHours: "2", cron: "0 3 * * *", snapshotWindow: "01:00-02:00" }, /expected one of them/],
    ["a zone without a cron", { timeZone: "Asia/Tokyo" }, /only with a cron/],
    ["31 February", { cron: "0 0 31 2 *" }, /never comes due/],
    ["31 April and June", { cron: "0 0 31 4,6 *" }, /never comes due/],
    ["an unknown zone", { cron: "0 0 * * *", timeZone: "Mars/Olympus" }, /unknown time zone "Mars\/Olympus"/],
    ["a zone in small letters", { cron: "0 0 * * *", timeZone: "asia/tokyo" }, /unknown time zone/],
    ["a zone spelt otherwise", { cron: "0 0 * * *", timeZone: "Asia/TOKYO" }, /unknown time zone/],
    ["an offset", { cron: "0 0 * * *", timeZone: "+09:00" }, /unknown time zone/],
    [
      "a cron that no message carries",
      { cron: `${"1,".repeat(60)}1 * * * *` },
      /of 129 characters: expected at most 120/,
    ],
    ["an empty zone", { cron: "0 0 * * *", timeZone: "" }, /unknown time zone/],
    ["four fields", { cron: "0 0 * *" }, /five fields/],
    ["six fields", { cron: "0 0 0 * * *" }, /five fields/],
    ["a macro", { cron: "@daily" }, /five fields/],
    ["nothing", { cron: "" }, /five fields/],
    ["minute 60", { cron: "60 * * * *" }, /cron "60 \* \* \* \*"/],
    ["a step of none", { cron: "*/0 * * * *" }, /stepping/],
    ["a reversed range", { cron: "5-1 * * * *" }, /larger/],
    ["the last day, which unix-cron lacks", { cron: "0 0 L * *" }, /unix-cron/],
    ["a window of half an hour", { snapshotWindow: "15:00-15:30" }, /has 30 minutes: expected at least 60/],
    ["an empty window", { snapshotWindow: "15:00-15:00" }, /is empty/],
    ["a reversed window", { snapshotWindow: "16:00-15:00" }, /is reversed/],
    ["a window until 24:00", { snapshotWindow: "23:00-24:00" }, /malformed snapshot window/],
    ["a window without a colon", { snapshotWindow: "1500-1600" }, /malformed/],
    ["a window of days", { snapshotWindow: "mon:15:00-mon:16:00" }, /malformed/],
    ["retention of half a day", { retention: "12h" }, /or 0d to take no automated backups/],
  ])("refuses %s in a sentence", (_, flags, message) => {
    expect(() => configOf(flags)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringMatching(message) }),
    );
  });

  it("tells when it became another, and nothing else does", () => {
    const before = made({ startTimeHours: "2" });
    expect(before.automatedBackupConfig.changeTime).toBe(registered);
    for (const flags of [{ retention: "7d" }, { automatedBackupMode: "enabled" }, { cron: "0 2 * * *" }])
      expect(configOf(flags, before).changeTime).toBe(registered);
    for (const flags of [{ startTimeHours: "3" }, { automatedBackupMode: "disabled" }, { retention: "0d" }])
      expect(configOf(flags, before).changeTime).toBe(later);
  });

  it("has a job that tells its instance again", () => {
    expect(instanceOfJob(jobId("orders-7"))).toBe("orders-7");
    expect(instanceOfJob("valkeep-sweep")).toBeUndefined();
  });
});

describe("a snapshot window", () => {
  it("may cross midnight", () => {
    expect(parseSnapshotWindow("23:30-00:30")).toEqual({ startMinute: 23 * 60 + 30, length: 60 });
  });

  it("holds the start of every name, and spreads many over all of it", () => {
    const window = parseSnapshotWindow("23:30-01:00");
    const minutes = Array.from({ length: 500 }, (_, n) => minuteWithin(window, `instances/i-${n}`));
    for (const minute of minutes) expect(minute >= 23 * 60 + 30 || minute < 60).toBe(true);
    expect(new Set(minutes).size).toBeGreaterThan(80);
  });
});

const zones = ["Etc/UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"];
it.each([
  "Etc/UTC",
  "UTC",
  "Asia/Kolkata",
  "Asia/Calcutta",
  "Etc/GMT+9",
  "America/Port-au-Prince",
  "EST5EDT",
])("%s is a time zone", (timeZone) => {
  expect(scheduleOf(made({ cron: "0 0 * * *", timeZone }))?.timeZone).toBe(timeZone);
});

const crons = ["30 2 * * *", "*/15 * * * *", "0 * * * *", "0 0 1 * *", "15 1,13 * * 1-5", "0 12 29 2 *"];
const anySchedule = { cron: constantFrom(...crons), timeZone: constantFrom(...zones) };
const anyTime = integer({ min: Date.UTC(2024, 0, 1) / 1000, max: Date.UTC(2032, 0, 1) / 1000 });

describe("a slot", () => {
  it("is due by its own schedule, and no later one was due before the message", () => {
    assert(
      property(anySchedule.cron, anySchedule.timeZone, anyTime, (cron, timeZone, seconds) => {
        const schedule = { cron, timeZone };
        const published = timeOf(seconds * 1000);
        const slot = slotOf(schedule, published);
        const next = nextDueTime(schedule, slot) ?? "";
        const latest = timeOf(seconds * 1000 + 30_000);
        expect(slot <= latest && next > latest).toBe(true);
        expect(slotOf(schedule, slot)).toBe(slot);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ["in the gap, 02:30 comes right after it", "2026-03-29T01:00:00.000Z", "2026-03-29"],
    ["in the hour that comes twice, 02:30 comes once", "2026-10-25T00:30:00.000Z", "2026-10-25"],
  ])("on the day of a changeover, %s", (_, slot, date) => {
    const schedule = { cron: "30 2 * * *", timeZone: "Europe/Berlin" };
    for (const clock of ["01:00:30", "01:31:00", "02:30:00", "12:00:00", "23:00:00"])
      expect(slotOf(schedule, `${date}T${clock}.000Z`)).toBe(slot);
    expect(lastDueTimes(schedule, `${date}T23:00:00.000Z`, 2)).toHaveLength(2);
  });

  it("is the one before, when the clock has jumped back before it", () => {
    const schedule = { cron: "0 2 * * *", timeZone: "Etc/UTC" };
    expect(slotOf(schedule, "2026-05-02T02:00:10.000Z")).toBe("2026-05-02T02:00:00.000Z");
    expect(slotOf(schedule, "2026-05-02T01:40:00.000Z")).toBe("2026-05-01T02:00:00.000Z");
  });

  it("counts as due half a minute early, and not earlier", () => {
    const schedule = { cron: "0 2 * * *", timeZone: "Etc/UTC" };
    expect(slotOf(schedule, "2026-05-02T01:59:30.000Z")).toBe("2026-05-02T02:00:00.000Z");
    expect(slotOf(schedule, "2026-05-02T01:59:29.999Z")).toBe("2026-05-01T02:00:00.000Z");
  });
});

describe("a time zone", () => {
  it("gives every local time back that is there", () => {
    assert(
      property(anySchedule.timeZone, anyTime, (name, seconds) => {
        const zone = createTimeZone(name);
        const local = zone.toLocal(seconds * 1000);
        expect(zone.toLocal(zone.toTime(local))).toBe(local);
      }),
      { numRuns: 300 },
    );
  });

  it("takes the first of two, and what follows a gap", () => {
    const berlin = createTimeZone("Europe/Berlin");
    expect(timeOf(berlin.toTime(Date.UTC(2026, 9, 25, 2, 30)))).toBe("2026-10-25T00:30:00.000Z");
    expect(timeOf(berlin.toTime(Date.UTC(2026, 2, 29, 2, 30)))).toBe("2026-03-29T01:30:00.000Z");
  });
});

it("a schedule is checked the same whenever it is", () =>
  expect(() => assertSchedule({ cron: "0 0 29 2 *", timeZone: "Etc/UTC" })).not.toThrow());
