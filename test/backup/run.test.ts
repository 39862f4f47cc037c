import { assert, constantFrom, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import { type InstanceFlags, newInstance } from "../../shared/backup/instance.ts";
import { windowAt } from "../../shared/backup/maintenance.ts";
import { earlyRun, overdueRun } from "../../shared/backup/run.ts";
import { slotOf } from "../../shared/backup/schedule.ts";

const made = (flags: InstanceFlags): Instance =>
  newInstance(
    { automatedBackupMode: "enabled", ...flags, id: "orders", endpoint: "h:1", location: "local" },
    "uid",
    "2026-01-01T00:00:00.000Z",
  );

describe("a run", () => {
  it.each([
    ["ten minutes after it was due", "2026-02-01T02:10:00.000Z", "2026-02-01T02:00:00.000Z"],
    ["a little earlier", "2026-02-01T02:09:59.000Z", undefined],
    ["when it is just due", "2026-02-01T02:00:00.000Z", undefined],
    ["until the next is due", "2026-02-02T01:59:59.000Z", "2026-02-01T02:00:00.000Z"],
    ["where the schedule is newer", "2026-01-01T00:30:00.000Z", undefined],
  ])("is overdue or not %s", (_, now, slot) => {
    expect(overdueRun(made({ startTimeHours: "2" }), now)?.slot).toBe(slot);
  });

  it.each(["disabled", "kept for no time"])("is never overdue where automated backups are %s", (how) => {
    const flags = how === "disabled" ? { automatedBackupMode: "disabled" } : { retention: "0d" };
    expect(overdueRun(made(flags), "2026-02-01T12:00:00.000Z")).toBeUndefined();
  });

  it("that is overdue is the one that a message of this moment would stand for", () => {
    const crons = constantFrom("30 2 * * *", "0 * * * *", "*/20 * * * *", "15 1,13 * * 1-5");
    const zones = constantFrom("Etc/UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe");
    const seconds = integer({ min: Date.UTC(2026, 1, 1) / 1000, max: Date.UTC(2030, 0, 1) / 1000 });
    let found = 0;
    assert(
      property(crons, zones, seconds, (cron, timeZone, second) => {
        const now = timeOf(second * 1000);
        const run = overdueRun(made({ cron, timeZone }), now);
        if (run === undefined || slotOf(run.schedule, now) > now) return; // the next one may be published half a minute early
        found++;
        expect(run.slot).toBe(slotOf({ cron, timeZone }, now));
      }),
      { numRuns: 300 },
    );
    expect(found).toBeGreaterThan(50);
  });
});

describe("a run that is due in a window", () => {
  const avoiding = (maintenanceBackupPolicy: string): Instance =>
    made({ startTimeHours: "2", maintenanceWindow: "sun:01:00-sun:03:00", maintenanceBackupPolicy });

  it.each([
    ["forty minutes before the window", "avoid-before", "2026-02-01T00:20:00.000Z", true],
    ["earlier", "avoid-before", "2026-02-01T00:19:59.000Z", false],
    ["right before the window", "avoid-before", "2026-02-01T00:59:59.000Z", true],
    ["in the window", "avoid-before", "2026-02-01T01:00:00.000Z", false],
    ["before a day without a window", "avoid-before", "2026-02-02T00:30:00.000Z", false],
    ["where it is moved behind it", "avoid", "2026-02-01T00:30:00.000Z", false],
    ["where windows are ignored", "ignore", "2026-02-01T00:30:00.000Z", false],
  ])("starts early or not %s", (_, policy, now, isEarly) => {
    const run = earlyRun(avoiding(policy), now);
    expect(run?.slot).toBe(isEarly ? "2026-02-01T02:00:00.000Z" : undefined);
    const { maintenancePolicy } = avoiding(policy);
    if (run !== undefined) expect(maintenancePolicy && windowAt(maintenancePolicy, run.slot)).toEqual(run.window);
  });
});
