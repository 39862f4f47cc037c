import { beforeEach, describe, expect, it } from "vitest";
import { register } from "../pipeline/registered.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7001";
let world: World;

beforeEach(async () => {
  world = createWorld();
  await register(world, instanceOf("orders", endpoint));
  await valkeepOn(world, "instances update orders --automated-backup-config-mode=enabled");
  world.valkey.start(endpoint);
});

describe("schedules list", () => {
  it("shows the jobs", async () => {
    const { stdout } = await valkeep("schedules list", world);
    expect(stdout.split("\n")[1]).toMatch(
      /^valkeep-backup-orders {2}ENABLED {2}backup.v1.requested {2}0 2 \* \* \* {2}Etc\/UTC/,
    );
  });

  it("is an array in JSON", async () => {
    const { stdout } = await valkeep("schedules list --json", world);
    expect(JSON.parse(stdout)).toMatchObject([{ id: "valkeep-backup-orders", cron: "0 2 * * *" }]);
  });
});

describe("schedules run", () => {
  it("takes the backup of the slot and waits for it", async () => {
    const { exitCode, stdout } = await valkeepOn(world, "schedules run orders --json");
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ state: "ACTIVE", backupType: "AUTOMATED" });
  });

  it("says that the slot is over when it is run again", async () => {
    const first = await valkeepOn(world, "schedules run orders --json");
    const { exitCode, stdout, stderr } = await valkeepOn(world, "schedules run orders --json");
    expect([exitCode, stdout]).toEqual([0, first.stdout]);
    expect(stderr).toMatch(/the run of 20\d\d-\d\d-\d\dT02:00:00.000Z is over, so nothing new begins/);
  });

  it("takes another backup in the next slot", async () => {
    const first = await valkeepOn(world, "schedules run orders --json");
    await world.clock.advance(24 * 3_600_000);
    const { stdout, stderr } = await valkeepOn(world, "schedules run orders --json");
    expect(JSON.parse(stdout).name).not.toBe(JSON.parse(first.stdout).name);
    expect(stderr).not.toContain("is over");
  });

  it("refuses an instance without a schedule, and one that is not registered", async () => {
    await world.ports.store.commit([
      { kind: "create", path: "instances/users", data: instanceOf("users", "127.0.0.1:7002") },
    ]);
    for (const [id, advice] of [
      [
        "users",
        "users has no schedule; valkeep instances update users --automated-backup-config-mode=enabled makes one",
      ],
      ["nobody", "instances/nobody is not registered; valkeep instances list shows what is"],
    ] as const) {
      const { exitCode, stderr } = await valkeep(`schedules run ${id}`, world);
      expect([exitCode, stderr]).toEqual([3, `${advice} (NOT_FOUND)\n`]);
    }
  });

  it("tells for what and until when the backup waits, as describe and list do", async () => {
    await valkeepOn(world, "instances update orders --maintenance-window=wed:22:00-thu:00:30");
    const reason = "the maintenance window from 2025-12-31T22:00:00.000Z to 2026-01-01T00:30:00.000Z";
    const { exitCode, stderr } = await valkeepOn(world, "schedules run orders");
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`postponed until 2026-01-01T00:30:00.000Z: ${reason}`);

    await valkeepOn(world, "instances update orders --maintenance-window=thu:22:00-fri:06:00");
    world.clock.jump(22 * 3_600_000);
    const name = (await valkeepOn(world, "schedules run orders --async")).stdout.trim();
    expect((await valkeep("operations list --limit=1", world)).stdout).toContain(
      "postponed until 2026-01-02T06:00:00.000Z",
    );
    expect((await valkeep(`operations describe ${name}`, world)).stdout).toContain(
      "postponed:\n  until: 2026-01-02T06:00:00.000Z\n  reason: the maintenance",
    );
  });

  it("fails when nothing begins for a minute", async () => {
    const sleep = async (milliseconds: number) => void (await world.clock.advance(milliseconds));
    const ports = { ...world.ports, clock: { ...world.clock, sleep } };
    const { exitCode, stderr } = await valkeep("schedules run orders", { ports });
    expect(exitCode).toBe(1);
    expect(stderr).toContain("nothing has begun for 60 s: are the functions running? (UNAVAILABLE)");
  });
});

describe("sweep", () => {
  async function expire(): Promise<void> {
    for (const backupId of ["one", "two"])
      await valkeepOn(world, `backups create orders --backup-id=${backupId} --ttl=1d`);
    await world.clock.advance(2 * 86_400_000);
  }

  it("--dry-run shows each decision with its reason and changes nothing", async () => {
    await expire();
    const before = world.ports.store.all();
    const { exitCode, stdout } = await valkeep("sweep --dry-run", world);
    expect(exitCode).toBe(0);
    expect(stdout.split("\n").map((row) => row.split(/ {2,}/).slice(0, 2))).toEqual([
      ["BACKUP", "ACTION"],
      ["orders/one", "EXPIRE"],
      ["orders/two", "KEEP"],
      [""],
    ]);
    expect(stdout).toContain("but is the newest verified one");
    expect(world.ports.store.all()).toEqual(before);
  });

  it("--dry-run is an array in JSON", async () => {
    await expire();
    const { stdout } = await valkeep("sweep --dry-run --json", world);
    expect(JSON.parse(stdout)[0]).toEqual({
      backup: "backupCollections/orders/backups/one",
      action: "EXPIRE",
      reason: expect.stringMatching(/^it expired at /),
      reviewTime: expect.stringMatching(/^2026-01-02T/),
    });
  });

  it("--dry-run says that there is nothing", async () => {
    expect(await valkeep("sweep --dry-run", world)).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "no backups\n",
    });
  });

  it("asks for what is due and tells how much it was", async () => {
    await expire();
    const { exitCode, stdout } = await valkeepOn(world, "sweep --json");
    expect([exitCode, JSON.parse(stdout).response]).toEqual([0, { expired: 1, erased: 0, deferred: 0 }]);
  });
});
