import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection } from "../../shared/backup/backup.ts";
import { backupName, collectionName } from "../../shared/backup/name.ts";
import { registered } from "../pipeline/registered.ts";
import { vault, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

let world: World;
const one = backupName("orders", "one");
const stored = async (): Promise<Backup | undefined> => (await world.ports.store.get<Backup>(one))?.data;

beforeEach(async () => {
  world = await registered();
  await valkeepOn(world, "backups create orders --backup-id=one --ttl=14d");
});

describe("backups hold", () => {
  it("keeps the backup and its objects, and says why to whoever deletes it", async () => {
    expect(await valkeepOn(world, "backups hold orders/one --reason=audit")).toMatchObject({
      exitCode: 0,
      stderr: expect.stringContaining(": holding its objects"),
    });
    const deletion = await valkeepOn(world, "backups delete orders/one --confirm=delete");
    expect(deletion).toMatchObject({ exitCode: 3, stderr: expect.stringContaining("it is held: audit") });
    const found = await world.ports.objects.stat(vault, `${one}/0.rdb`);
    if (found) await expect(world.ports.objects.remove(found)).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect((await valkeepOn(world, "backups release orders/one")).exitCode).toBe(0);
    expect((await valkeepOn(world, "backups delete orders/one --confirm=delete")).exitCode).toBe(0);
  });
  it("wants a reason", async () => {
    expect((await valkeepOn(world, "backups hold orders/one")).exitCode).toBe(2);
    expect((await valkeep("backups hold orders/one --reason=", { ports: world.ports })).exitCode).toBe(2);
  });
  it("is refused of a backup that is held already, or is not there", async () => {
    await valkeepOn(world, "backups hold orders/one --reason=audit");
    expect(await valkeepOn(world, "backups hold orders/one --reason=more")).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining("held already: audit"),
    });
    expect((await valkeepOn(world, "backups hold orders/none --reason=x")).exitCode).toBe(3);
    expect((await valkeepOn(world, "backups release orders/none")).exitCode).toBe(3);
  });
});

describe("backups update", () => {
  it("lengthens and shortens the life of a backup", async () => {
    const { createTime = "" } = (await stored()) ?? {};
    await valkeepOn(world, "backups update orders/one --ttl=90d");
    expect(Date.parse((await stored())?.expireTime ?? "") - Date.parse(createTime)).toBe(90 * 86_400_000);
    await valkeepOn(world, "backups update orders/one --expire-time=2026-01-05T00:00:00Z");
    expect((await stored())?.expireTime).toBe("2026-01-05T00:00:00.000Z");
  });
  it.each([
    ["", 2],
    ["--ttl=0d", 2],
    ["--ttl=14d --expire-time=2027-01-01T00:00:00Z", 2],
    ["--expire-time=tomorrow", 2],
    ["--expire-time=2026-02-31T00:00:00Z", 2],
    ["--expire-time=2020-01-01T00:00:00Z", 3],
    ["--expire-time=2226-01-01T00:00:00Z", 3],
  ])("with %j exits %i and changes nothing", async (flags, exitCode) => {
    const before = await stored();
    expect((await valkeepOn(world, `backups update orders/one ${flags}`)).exitCode).toBe(exitCode);
    expect(await stored()).toEqual(before);
  });
});

describe("what Memorystore bills a managed backup at least", () => {
  const warning =
    /orders\/backups\/one: it lives less than an hour, and Memorystore bills a managed backup for at least 24 h\.\n/;
  it("is told when a backup is deleted before it", async () => {
    const { exitCode, stderr } = await valkeepOn(world, "backups delete orders/one --grace=1m --confirm=delete");
    expect([exitCode, stderr]).toEqual([0, expect.stringMatching(warning)]);
    expect((await valkeepOn(world, "sweep --dry-run")).stdout).toMatch(/deleted, .*; it lives less than an hour, and/);
  });
  it("is told when its expiry comes before it", async () => {
    const { createTime = "" } = (await stored()) ?? {};
    const soon = new Date(Date.parse(createTime) + 3 * 3600_000 + 1).toISOString();
    const { exitCode, stderr } = await valkeepOn(world, `backups update orders/one --expire-time=${soon}`);
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("it lives 3 h, and Memorystore bills")]);
    expect((await valkeepOn(world, "sweep --dry-run")).stdout).toMatch(/KEEP +it expires at .*; it lives 3 h, and/);
  });
  it("is not mentioned where the new expiry is refused", async () => {
    const { exitCode, stderr } = await valkeepOn(world, "backups update orders/one --expire-time=2020-01-01");
    expect([exitCode, stderr]).toEqual([3, expect.not.stringContaining("Memorystore")]);
  });
  it("is not mentioned where it lives for long enough", async () => {
    const outcomes = [
      await valkeepOn(world, "backups update orders/one --ttl=1d"),
      await valkeepOn(world, "sweep --dry-run"),
      await valkeepOn(world, "backups delete orders/one --confirm=delete"),
      await valkeepOn(world, "sweep --dry-run"),
    ];
    for (const { stdout, stderr } of outcomes) expect(stdout + stderr).not.toContain("Memorystore");
  });
});

describe("collections", () => {
  const policy = async () =>
    (await world.ports.store.get<BackupCollection>(collectionName("orders")))?.data.retentionPolicy;
  it("are listed and described with their totals", async () => {
    expect((await valkeepOn(world, "collections list")).stdout).toMatch(/COLLECTION +BACKUPS.*\norders +1 /);
    expect(JSON.parse((await valkeepOn(world, "collections describe orders --json")).stdout)).toMatchObject({
      totalBackupCount: 1,
    });
    expect((await valkeepOn(world, "collections describe nobody")).exitCode).toBe(3);
  });
  it("take a retention policy, flag by flag", async () => {
    await valkeepOn(world, "collections update orders --keep-daily=7 --keep-monthly=12 --time-zone=Asia/Tokyo");
    await valkeepOn(world, "collections update orders --keep-weekly=4 --minimum-redundancy=2");
    expect(await policy()).toEqual({
      keepDaily: 7,
      keepMonthly: 12,
      keepWeekly: 4,
      minimumRedundancy: 2,
      timeZone: "Asia/Tokyo",
    });
  });
  it.each([
    ["", 2],
    ["--keep-daily=-1", 2],
    ["--keep-daily=seven", 2],
    ["--keep-daily=10001", 2],
    ["--minimum-redundancy=0", 2],
    ["--keep-last=1 --minimum-redundancy=2", 2],
    ["--time-zone=Mars/Base", 2],
    ["--time-zone=", 2],
    ["--keep-monthly=10001", 2],
  ])("refuse the policy %j", async (flags, exitCode) => {
    expect((await valkeepOn(world, `collections update orders ${flags}`)).exitCode).toBe(exitCode);
    expect(await policy()).toBeUndefined();
  });
  it("keep by their policy what has expired: the sweep and its dry run say why", async () => {
    await valkeepOn(world, "backups create orders --backup-id=two");
    await valkeepOn(world, "collections update orders --keep-last=2");
    await world.clock.advance(15 * 86_400_000);
    const table = (await valkeepOn(world, "sweep --dry-run")).stdout;
    expect(table).toMatch(/orders\/one +KEEP +it expired at .* is one of the last 2/);
    expect((await valkeepOn(world, "sweep")).exitCode).toBe(0);
    expect((await stored())?.state).toBe("ACTIVE");
    await valkeepOn(world, "collections update orders --keep-last=0");
    await valkeepOn(world, "sweep");
    expect((await stored())?.state).toBe("DELETING");
  });
});
