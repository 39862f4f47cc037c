import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection } from "../../shared/backup/backup.ts";
import { backupName, collectionName, fileObject, manifestObject } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { Finding } from "../../shared/pipeline/findings.ts";
import { collect, once } from "../../shared/pipeline/stream.ts";
import { change } from "../pipeline/change.ts";
import { registered } from "../pipeline/registered.ts";
import { vault, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const one = backupName("orders", "one");
const two = backupName("orders", "two");
const orders = collectionName("orders");
const marks = { operation: "operations/backup-00000000", shard: "0" };
let world: World;

beforeEach(async () => {
  world = await registered();
  for (const id of ["one", "two"]) await valkeepOn(world, `backups create orders --backup-id=${id}`);
});

const put = (object: string, bytes: Uint8Array | string = "x", metadata: Record<string, string> = marks) =>
  world.ports.objects.create(vault, object, once(Buffer.from(bytes)), metadata);

async function remove(object: string): Promise<void> {
  const found = await world.ports.objects.stat(vault, object);
  if (found === undefined) throw new Error(`there is no ${object}`);
  await world.ports.objects.remove(found);
}

async function replace(object: string, alter: (text: string) => string): Promise<void> {
  const found = await world.ports.objects.stat(vault, object);
  if (found === undefined) throw new Error(`there is no ${object}`);
  const text = Buffer.from(await collect(world.ports.objects.read(found))).toString();
  await world.ports.objects.remove(found);
  await put(object, alter(text), found.metadata);
}

async function forget(...paths: string[]): Promise<void> {
  await world.ports.store.commit(paths.map((path) => ({ kind: "remove", path })));
}

/** Firestore loses a backup, and its collection counts as if that had never been. */
async function lose(backup: string): Promise<void> {
  const { totalSizeBytes = 0 } = (await world.ports.store.get<Backup>(backup))?.data ?? {};
  const { totalBackupSizeBytes = 0 } = (await world.ports.store.get<BackupCollection>(orders))?.data ?? {};
  await forget(backup);
  await change<BackupCollection>(world, orders, {
    totalBackupCount: 1,
    totalBackupSizeBytes: totalBackupSizeBytes - totalSizeBytes,
  });
}

async function check(): Promise<{ exitCode: number; found: Finding[] }> {
  const before = world.ports.store.all();
  const { exitCode, stdout } = await valkeep("catalogue check --json", { ports: world.ports });
  expect(world.ports.store.all()).toEqual(before);
  return { exitCode, found: JSON.parse(stdout) };
}

describe("catalogue check", () => {
  it("finds nothing wrong, and says so", async () => {
    expect(await valkeep("catalogue check", { ports: world.ports })).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "no disagreements between the catalogue and the bucket\n",
    });
  });

  it.each<[string, () => Promise<unknown>, Partial<Finding>[]]>([
    [
      "a manifest that is missing",
      () => remove(manifestObject(one)),
      [{ kind: "LOST", name: one, detail: expect.stringMatching(/manifest.json is missing/) }],
    ],
    [
      "a file that is missing",
      () => remove(fileObject(one, 0)),
      [{ kind: "LOST", name: one, detail: expect.stringMatching(/0.rdb is missing/) }],
    ],
    [
      "a file of another generation",
      () => replace(fileObject(one, 0), (text) => text),
      [{ kind: "LOST", detail: expect.stringMatching(/generation is \d+, \d+ was recorded/) }],
    ],
    [
      "a manifest that names other files",
      () => replace(manifestObject(one), (text) => text.replace(/"keys": 0/, '"keys": 1')),
      [{ kind: "LOST", detail: expect.stringMatching(/names other files/) }],
    ],
    [
      "a manifest that is junk",
      () => replace(manifestObject(one), () => "[".repeat(100_000)),
      [{ kind: "LOST", detail: expect.stringMatching(/is not JSON/) }],
    ],
    [
      "a wrong size in the catalogue",
      () => change<Backup>(world, one, { totalSizeBytes: 1 }),
      [{ kind: "MISCOUNTED", name: orders }],
    ],
    [
      "wrong totals",
      () => change<BackupCollection>(world, orders, { totalBackupCount: 7 }),
      [{ kind: "MISCOUNTED", name: orders, detail: expect.stringMatching(/tells of 7 backups .* there are 2/) }],
    ],
    [
      "a collection that is missing",
      () => forget(orders),
      [{ kind: "MISCOUNTED", name: orders, detail: expect.stringMatching(/it is missing/) }],
    ],
    [
      "a backup that Firestore has lost",
      () => lose(one),
      [{ kind: "UNLISTED", name: manifestObject(one), detail: expect.stringMatching(/valkeep catalogue rebuild/) }],
    ],
    [
      "a manifest that a failed operation left",
      async () => {
        const { operation = "" } = (await world.ports.store.get<Backup>(one))?.data ?? {};
        await lose(one);
        await change<Operation>(world, operation, { error: { code: "CANCELLED", message: "" }, response: {} });
      },
      [{ kind: "UNLISTED", name: manifestObject(one), detail: expect.stringMatching(/which made .* failed/) }],
    ],
    [
      "a manifest that cannot be taken over",
      () => put(manifestObject(backupName("orders", "x")), "{}"),
      [{ kind: "UNLISTED", detail: expect.stringMatching(/has version undefined/) }],
    ],
    [
      "an object of no backup",
      () => put(fileObject(backupName("orders", "x"), 3), "xyz"),
      [{ kind: "ORPHAN", sizeBytes: 3, createTime: expect.any(String) }],
    ],
  ])("finds %s and exits 1", async (_, spoil, expected) => {
    await spoil();
    const { exitCode, found } = await check();
    expect([exitCode, found]).toEqual([1, expected.map((finding) => expect.objectContaining(finding))]);
  });

  it("shows foreign objects, which are nothing wrong", async () => {
    await put("terraform/state.json");
    await put(fileObject(backupName("orders", "x"), 0), "x", {});
    const { exitCode, found } = await check();
    expect([exitCode, found.map(({ kind }) => kind)]).toEqual([0, ["FOREIGN", "FOREIGN"]]);
  });

  it("shows a table with each object's age, in which no name can write on the terminal", async () => {
    await put("a\u001b[31m");
    await put(fileObject(backupName("orders", "x"), 0));
    await world.clock.advance(27 * 3_600_000);
    const { stdout } = await valkeep("catalogue check", { ports: world.ports });
    expect(stdout).toMatch(/^KIND +NAME +AGE +SIZE +DETAIL\n/);
    expect(stdout).toMatch(/FOREIGN +a\\u001b\[31m +1d 3h +1 B +not one of ours/);
    expect(stdout).toMatch(/ORPHAN +backupCollections\/orders\/backups\/x\/0.rdb +1d 3h/);
  });

  it("passes over what is being taken or erased, and what changes while it looks", async () => {
    await change<Backup>(world, one, { state: "DELETING", purgeStartTime: "2026-01-01T00:00:00.000Z" });
    await remove(manifestObject(one));
    const { store } = world.ports;
    const get = store.get.bind(store);
    await remove(fileObject(two, 0));
    store.get = async <T>(path: string) => {
      const found = await get<T>(path);
      return found && path === two ? { ...found, updateTime: "later" } : found;
    };
    expect((await valkeep("catalogue check", { ports: world.ports })).exitCode).toBe(0);
  });

  it("fails where it cannot look: that is no finding", async () => {
    const objects = { ...world.ports.objects, stat: () => Promise.reject(new Error("no network")) };
    const { exitCode, stderr } = await valkeep("catalogue check", { ports: { ...world.ports, objects } });
    expect([exitCode, stderr]).toEqual([1, "no network (UNKNOWN)\n"]);
  });
});

describe("catalogue rebuild", () => {
  it("brings back what Firestore has lost, and says what it did", async () => {
    await forget(...Object.keys(world.ports.store.all()));
    expect((await check()).found.map(({ kind }) => kind)).toEqual(["UNLISTED", "UNLISTED"]);
    const { exitCode, stdout } = await valkeepOn(world, "catalogue rebuild");
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining("rebuilt: 2\n")]);
    expect(await check()).toEqual({ exitCode: 0, found: [] });
    expect((await valkeepOn(world, "backups list orders")).stdout).toMatch(/orders\/two +ACTIVE +CHECKED/);
  });

  it("tells of what it did not take over, and where to find why", async () => {
    await put(manifestObject(backupName("orders", "x")), "{}");
    const { exitCode, stderr } = await valkeepOn(world, "catalogue rebuild");
    expect([exitCode, stderr]).toEqual([
      0,
      expect.stringContaining("1 manifests were not taken over; valkeep catalogue check"),
    ]);
  });

  it("with --async prints the operation's name", async () => {
    const { stdout } = await valkeep("catalogue rebuild --async", { ports: world.ports });
    expect(stdout).toMatch(/^operations\/rebuild-[0-9a-f]{16}\n$/);
  });
});
