import { beforeEach, describe, expect, it } from "vitest";
import type { BackupCollection } from "../../shared/backup/backup.ts";
import { collectionName } from "../../shared/backup/name.ts";
import { registered } from "../pipeline/registered.ts";
import type { World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const line = "collections delete orders";
let world: World;

beforeEach(async () => {
  world = await registered();
  await valkeepOn(world, "backups create orders --backup-id=one");
  await valkeepOn(world, "backups create orders --backup-id=two");
});

const stored = async () => (await world.ports.store.get<BackupCollection>(collectionName("orders")))?.data;

describe("collections delete", () => {
  it("shows what would go, asks for the word, and prints the collection with its mark", async () => {
    await valkeepOn(world, "instances delete orders --confirm=delete");
    const { exitCode, stdout, stderr } = await valkeepOn(world, `${line} --grace=7d --json`, { input: "delete\n" });
    expect(stderr).toMatch(/BACKUP +STATE +TYPE.*\norders\/one +ACTIVE.*\norders\/two +ACTIVE.*\n2 backups of \d/);
    expect(stderr).toContain("once the grace of 7d is over.\nType the word delete to go on: ");
    expect([exitCode, JSON.parse(stdout).deleteTime]).toEqual([0, (await stored())?.deleteTime]);
    expect((await valkeepOn(world, "collections list")).stdout).toContain((await stored())?.deleteTime);
  });

  it.each(["no\n", ""])("deletes nothing when %j was typed", async (input) => {
    await valkeepOn(world, "instances delete orders --confirm=delete");
    expect((await valkeepOn(world, line, { input })).exitCode).toBe(3);
    expect(await stored()).not.toHaveProperty("deleteTime");
    expect((await valkeepOn(world, "backups list orders")).stdout).not.toContain("DELETING");
  });

  it("exits 3 with advice while the instance's schedule goes on", async () => {
    const { exitCode, stderr } = await valkeepOn(world, `${line} --confirm=delete`);
    expect([exitCode, await stored()]).toEqual([3, expect.not.objectContaining({ deleteTime: expect.anything() })]);
    expect(stderr).toContain("valkeep instances update orders --automated-backup-config-mode=disabled");
  });

  it("asks nothing about an empty collection", async () => {
    await valkeepOn(world, "instances delete orders --confirm=delete");
    for (const id of ["one", "two"]) await valkeepOn(world, `backups delete orders/${id} --grace=0s --confirm=delete`);
    await valkeepOn(world, "sweep");
    const { exitCode, stderr } = await valkeepOn(world, line);
    expect([exitCode, await stored()]).toEqual([0, undefined]);
    expect(stderr).not.toContain("Type the word");
  });

  it.each([
    ["collections delete", 2],
    ["collections delete Orders", 2],
    [`${line} --grace=soon`, 2],
    [`${line} --confirm=yes`, 2],
    ["collections delete nobody --confirm=delete", 3],
  ])("%s exits %i", async (wrong, exitCode) => {
    expect((await valkeep(wrong, { ports: world.ports })).exitCode).toBe(exitCode);
  });
});
