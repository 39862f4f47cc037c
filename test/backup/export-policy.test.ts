import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { assertNotRetiring, type BackupCopy, recorded, retiring } from "../../shared/backup/copy.ts";
import { day, later } from "../../shared/backup/duration.ts";
import { parseEvent } from "../../shared/backup/event.ts";
import { changedExportPolicy, exportAsked, exportPeriod } from "../../shared/backup/export-policy.ts";

const now = "2026-11-21T00:00:00.000Z";

describe("the period of an export", () => {
  it.each([
    ["EVERY", "Etc/UTC", "2026-11-22T23:59:59.999Z", "2026-11-22T23:59:59.999Z"],
    ["WEEKLY", "Etc/UTC", "2026-11-22T23:59:59.999Z", "2026-W47"],
    ["WEEKLY", "Etc/UTC", "2026-11-23T00:00:00.000Z", "2026-W48"],
    ["WEEKLY", "Asia/Tokyo", "2026-11-22T14:59:59.999Z", "2026-W47"],
    ["WEEKLY", "Asia/Tokyo", "2026-11-22T15:00:00.000Z", "2026-W48"],
    ["WEEKLY", "Etc/UTC", "2027-01-01T00:00:00.000Z", "2026-W53"],
    ["MONTHLY", "Etc/UTC", "2026-11-30T23:59:59.999Z", "2026-11"],
    ["MONTHLY", "Asia/Tokyo", "2026-11-30T15:00:00.000Z", "2026-12"],
  ] as const)("%s in %s of %s is %s", (frequency, timeZone, time, period) => {
    expect(exportPeriod({ frequency, timeZone, gcsBucket: "mine" }, time)).toBe(period);
  });
});

describe("an export policy", () => {
  const frequency = fc.constantFrom("every", "weekly", "monthly");
  const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9-]{1,30}[a-z0-9]$/);
  const retention = fc.option(
    fc.integer({ min: 1, max: 36_500 }).map((days) => `${days}d`),
    { nil: undefined },
  );

  it("that is sound asks for what the event takes", () => {
    const flags = fc.record({
      frequency,
      gcsBucket: bucket,
      retention,
      onwardGcsBucket: fc.option(bucket, { nil: undefined }),
    });
    fc.assert(
      fc.property(flags, retention, (given, onwardRetention) => {
        fc.pre(given.gcsBucket !== given.onwardGcsBucket);
        const onward = given.onwardGcsBucket !== undefined && { onwardRetention };
        const policy = changedExportPolicy(undefined, { ...given, ...onward });
        if (policy === undefined) throw new Error("there is no policy");
        const asked = exportAsked(policy, "backupCollections/orders/backups/one");
        expect(parseEvent("export.v1.requested", asked)).toEqual(asked);
        expect(changedExportPolicy(policy, {})).toEqual(policy);
      }),
    );
  });

  it.each(["asia/tokyo", "+09:00", "Mars/Base", ""])("takes no time zone that a schedule would not: %s", (timeZone) => {
    const flags = { frequency: "weekly", gcsBucket: "tokyo", timeZone };
    expect(() => changedExportPolicy(undefined, flags)).toThrow(/unknown time zone/);
  });

  it("keeps what a single flag does not change", () => {
    const policy = { frequency: "WEEKLY", gcsBucket: "tokyo", onward: { gcsBucket: "osaka" } } as const;
    expect(changedExportPolicy(policy, { onwardRetention: "1d" })).toEqual({
      ...policy,
      onward: { gcsBucket: "osaka", retentionSeconds: day },
    });
    expect(changedExportPolicy(policy, { isCleared: true })).toBeUndefined();
  });
});

describe("the record of a copy", () => {
  const backup = {
    name: "backupCollections/orders/backups/one",
    operation: "operations/backup-1",
    createTime: now,
    totalSizeBytes: 5,
  } as Backup;
  const made = (retentionSeconds?: number) => ({
    ...{ gcsBucket: "mine", location: "asia-northeast1", objects: [] },
    retentionSeconds,
  });

  it("has an expiry if a retention was asked for, else none", () => {
    expect(recorded(backup, made(), undefined, now)).not.toHaveProperty("expireTime");
    expect(recorded(backup, made(day), undefined, now).expireTime).toBe(later(now, day));
  });

  it("keeps the longer of two lives: nobody shortens what another was promised", () => {
    const soon = recorded(backup, made(day), undefined, now);
    const ever = recorded(backup, made(), undefined, now);
    expect(recorded(backup, made(2 * day), soon, now).expireTime).toBe(later(now, 2 * day));
    expect(recorded(backup, made(day), recorded(backup, made(2 * day), undefined, now), now).expireTime).toBe(
      later(now, 2 * day),
    );
    expect(recorded(backup, made(), soon, now)).not.toHaveProperty("expireTime");
    expect(recorded(backup, made(day), ever, now)).not.toHaveProperty("expireTime");
  });

  it("of an earlier backup of the same name lends it nothing", () => {
    const other = recorded({ ...backup, operation: "operations/backup-0" }, made(), undefined, now);
    expect(recorded(backup, made(day), other, later(now, day))).toMatchObject({
      operation: "operations/backup-1",
      createTime: later(now, day),
      expireTime: later(now, 2 * day),
    });
  });

  it("is not erased before its time", () => {
    const copy: BackupCopy = recorded(backup, made(day), undefined, now);
    expect(() => retiring(copy, later(now, day - 1))).toThrow(/kept until 2026-11-22/);
    expect(() => retiring(recorded(backup, made(), undefined, now), later(now, 9 * day))).toThrow(/kept for ever/);
    const dying = retiring(copy, later(now, day));
    expect(retiring(dying, later(now, 2 * day))).toEqual(dying);
    expect(() => assertNotRetiring(dying)).toThrow(/being erased since 2026-11-22/);
  });
});
