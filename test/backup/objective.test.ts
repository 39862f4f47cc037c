import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { changedMaintenance } from "../../shared/backup/maintenance-flags.ts";
import { isCounted, objectiveOf, overdue } from "../../shared/backup/objective.ts";
import { longestGap, slotOf } from "../../shared/backup/schedule.ts";
import { instanceOf } from "../pipeline/world.ts";

const now = "2026-01-15T12:00:00.000Z";
const instance = instanceOf("orders", "h:1");
const onDemand = {
  ...instance,
  automatedBackupConfig: { automatedBackupMode: "DISABLED" as const, retentionSeconds: 86_400 },
};
const backup = {
  state: "ACTIVE",
  verification: "CHECKED",
  instanceUid: instance.uid,
  createTime: "2026-01-14T02:00:00.000Z",
} as Backup;

describe("the objective", () => {
  it("of a daily schedule is 26 hours", () => {
    expect(objectiveOf(instance, now)).toBe(26 * 3600);
  });

  it("is what was set by hand, with a schedule or without", () => {
    expect(objectiveOf({ ...instance, backupObjective: 60 }, now)).toBe(60);
    expect(objectiveOf({ ...onDemand, backupObjective: 60 }, now)).toBe(60);
  });

  it("is none where nobody asked for backups", () => {
    expect(objectiveOf(onDemand, now)).toBeUndefined();
    expect(overdue(onDemand, undefined, now)).toEqual([]);
  });
});

describe("the longest gap of a schedule", () => {
  const hours = (cron: string, timeZone = "Etc/UTC", at = now) => longestGap({ cron, timeZone }, at) / 3600;

  it.each([
    ["0 2 * * *", 24],
    ["0 */6 * * *", 6],
    ["*/10 * * * *", 1 / 6],
    ["0 9-17 * * 1-5", 64],
    ["0 2 * * 0", 168],
    ["0 2 1 * *", 31 * 24],
    ["0 2 1 1 *", 366 * 24],
  ])("%s is %d hours", (cron, expected) => {
    expect(hours(cron)).toBeCloseTo(expected, 6);
  });

  it("is the one that is passing, where a thousand runs do not reach the next one like it", () => {
    expect(hours("*/5 * * * 1-5", "Etc/UTC", "2026-01-17T12:00:00.000Z")).toBeCloseTo(48 + 1 / 12, 6);
  });

  it("knows of the night that is an hour longer", () => {
    expect(hours("0 12 * * *", "Europe/Berlin", "2026-10-10T00:00:00.000Z")).toBe(25);
  });

  it("is never shorter than the time between any two runs within the weeks that follow", () => {
    const field = (most: number) =>
      fc.uniqueArray(fc.nat(most), { minLength: 1, maxLength: 3 }).map((all) => all.join());
    fc.assert(
      fc.property(field(59), field(23), field(6), fc.nat(28 * 24), (minute, hour, weekday, offset) => {
        const schedule = { cron: `${minute} ${hour} * * ${weekday}`, timeZone: "Etc/UTC" };
        const late = new Date(Date.parse(now) + offset * 3_600_000).toISOString();
        const before = slotOf(schedule, new Date(Date.parse(slotOf(schedule, late)) - 60_000).toISOString());
        const gap = (Date.parse(slotOf(schedule, late)) - Date.parse(before)) / 1000;
        expect(longestGap(schedule, "2025-12-15T12:00:00.000Z")).toBeGreaterThanOrEqual(gap);
      }),
      { numRuns: 30 },
    );
  });
});

describe("a missed backup", () => {
  it.each([
    ["2026-01-15T04:00:00.000Z", 0],
    ["2026-01-15T04:00:01.000Z", 1],
  ])("is a symptom once the objective has passed: at %s %d", (time, count) => {
    expect(overdue(instance, backup, time)).toHaveLength(count);
  });

  it("counts from the registration where there was never one", () => {
    const fresh = { ...instance, createTime: "2026-01-15T00:00:00.000Z" };
    expect(overdue(fresh, undefined, "2026-01-16T02:00:00.000Z")).toEqual([]);
    expect(overdue(fresh, undefined, "2026-01-16T02:00:01.000Z")[0]?.message).toMatch(/^there is no verified backup/);
  });

  const weekend = changedMaintenance(undefined, { maintenanceWindow: "fri:22:00-mon:06:00" }); // 16 to 19 January
  const friday = { ...backup, createTime: "2026-01-16T02:00:00.000Z" };

  it.each([
    ["within the window", "2026-01-18T12:00:00.000Z", 0],
    ["as the window ends", "2026-01-19T06:00:00.000Z", 0],
    ["two hours after its end", "2026-01-19T08:00:00.000Z", 1],
  ])("that its maintenance window holds back is none before it had its time after that: %s", (_, time, count) => {
    const windowed = { ...instance, ...(weekend && { maintenancePolicy: weekend }) };
    expect(overdue(windowed, friday, time)).toHaveLength(count);
    const saturday = "2026-01-17T12:00:00.000Z";
    expect(overdue({ ...windowed, backupObjective: 86_400 }, friday, saturday)).toHaveLength(1);
    const ignoring = {
      ...windowed,
      ...(weekend && { maintenancePolicy: { ...weekend, backupPolicy: "IGNORE" as const } }),
    };
    expect(overdue(ignoring, friday, saturday)).toHaveLength(1);
  });

  it("that was one before the window began stays one", () => {
    const windowed = { ...instance, ...(weekend && { maintenancePolicy: weekend }) };
    expect(overdue(windowed, backup, "2026-01-17T12:00:00.000Z")[0]?.message).toMatch(/and 295200 s have passed$/);
  });

  it("is told of a fleet in order without a look at its schedules: their gaps cost 50 ms each", () => {
    const cronSchedule = { cron: "0 * * * *", timeZone: "Etc/UTC" };
    const automatedBackupConfig = { automatedBackupMode: "ENABLED" as const, retentionSeconds: 86_400, cronSchedule };
    const hourly = { ...instance, automatedBackupConfig };
    const started = performance.now();
    for (let n = 0; n < 300; n++) expect(overdue(hourly, { ...backup, createTime: now }, now)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(3_000);
  });

  it.each([
    ["that is being made", { state: "CREATING" }],
    ["that is being deleted", { state: "DELETING" }],
    ["that was only registered", { verification: "UNVERIFIED" }],
    ["of an instance that had the same name", { instanceUid: "another" }],
  ] as const)("is not made up for by a backup %s", (_name, fields) => {
    expect(isCounted(backup, instance)).toBe(true);
    expect(isCounted({ ...backup, ...fields }, instance)).toBe(false);
  });
});
