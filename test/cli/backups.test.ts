import { beforeEach, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { register } from "../pipeline/registered.ts";
import { createWorld, exports, instanceOf, vault, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7001";
const name = "backupCollections/orders/backups/one";
let world: World;

beforeEach(async () => {
  world = createWorld();
  await register(world, instanceOf("orders", endpoint));
  const shard = world.valkey.start(endpoint).shards[0];
  for (let i = 0; i < 20; i++)
    shard?.set(`0:${Buffer.from(`key ${i}`).toString("hex")}`, {
      type: 0,
      expireTimeMs: -1,
      value: encodeString(`value ${i}`),
    });
});

const stored = async (path = name) => (await world.ports.store.get<Backup>(path))?.data;
const take = () => valkeepOn(world, "backups create orders --backup-id=one --ttl=14d");

describe("backups create", () => {
  it("waits and prints the backup with its state and verification", async () => {
    const { exitCode, stdout, stderr } = await take();
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`name: ${name}\n`);
    expect(stdout).toContain("state: ACTIVE\n");
    expect(stdout).toContain("verification: CHECKED\n");
    expect(stderr).toMatch(/^backup-[0-9a-f]+: asking the source\n/);
  });

  it("prints the document with --json, exactly", async () => {
    const { stdout } = await valkeepOn(world, "backups create orders --backup-id=one --json");
    expect(JSON.parse(stdout)).toEqual(await stored());
  });

  it("gives it the time to live that was asked for", async () => {
    await take();
    const { createTime = "", expireTime = "" } = (await stored()) ?? {};
    expect(Date.parse(expireTime) - Date.parse(createTime)).toBe(14 * 86_400_000);
  });

  it("calls it by its date and time where nobody names it", async () => {
    const { stdout } = await valkeepOn(world, "backups create orders --json");
    expect(JSON.parse(stdout).name).toMatch(/\/backups\/20260101\d{6}_orders0u$/);
  });

  it("does it once for one request id", async () => {
    const line = "backups create orders --request-id=release-7";
    const [first, second] = [await valkeepOn(world, line), await valkeepOn(world, line)];
    expect([second.exitCode, second.stdout]).toEqual([0, first.stdout]);
  });

  it("exits 3 with the operation's refusal where the id is taken", async () => {
    await take();
    const { exitCode, stdout } = await valkeepOn(world, "backups create orders --backup-id=one --json");
    expect(exitCode).toBe(3);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: "ALREADY_EXISTS",
        message: expect.stringContaining("choose another backup id"),
        operation: expect.stringMatching(/^operations\/backup-/),
      },
    });
  });

  it("exits 3 for an instance that is not registered", async () => {
    const { exitCode, stderr } = await valkeepOn(world, "backups create nobody");
    expect(exitCode).toBe(3);
    expect(stderr).toContain("valkeep instances create nobody");
  });

  it("says with what error attempts fail, and exits 1 when they are given up", async () => {
    world.valkey.stop(endpoint);
    const { exitCode, stderr } = await valkeepOn(world, "backups create orders");
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /attempt \d+ failed, it will be tried again: nobody answers at 127.0.0.1:7001 \(UNAVAILABLE\)/,
    );
    expect(stderr).toMatch(/gave up after 10 attempts: .* \(UNAVAILABLE\)\n$/);
  });
});

describe("backups describe", () => {
  it("says of one file that it shows one instant, and when", async () => {
    await take();
    const { stdout } = await valkeepOn(world, "backups describe orders/one");
    expect(stdout).toMatch(/\nconsistency: POINT_IN_TIME: one instant between 2026-01-01T\S+ and 2026-01-01T\S+\n/);
  });

  it("says of several that their shards are not one instant; --json has the bare value", async () => {
    world.valkey.start(endpoint, 3);
    await take();
    const [text, json] = [
      await valkeepOn(world, "backups describe orders/one"),
      await valkeepOn(world, "backups describe orders/one --json"),
    ];
    expect(text.stdout).toMatch(/consistency: PER_SHARD: each shard .* together they are not one instant\n/);
    expect(JSON.parse(json.stdout).consistency).toBe("PER_SHARD");
  });
});

describe("backups list", () => {
  it("shows the newest first, of one instance or of all", async () => {
    await take();
    await valkeepOn(world, "backups create orders --backup-id=two");
    for (const line of ["backups list", "backups list orders"]) {
      const { stdout } = await valkeepOn(world, line);
      expect(stdout.split("\n").map((row) => row.split(" ")[0])).toEqual(["BACKUP", "orders/two", "orders/one", ""]);
    }
  });

  it("says that there are none", async () => {
    const { exitCode, stdout, stderr } = await valkeepOn(world, "backups list nobody");
    expect([exitCode, stdout, stderr]).toEqual([0, "", "no backups of nobody\n"]);
  });
});

describe("backups delete and undelete", () => {
  it("puts down a tombstone and takes it away", async () => {
    await take();
    expect((await valkeepOn(world, "backups delete orders/one --grace=7d --confirm=delete")).exitCode).toBe(0);
    expect((await stored())?.state).toBe("DELETING");
    const { exitCode, stdout } = await valkeepOn(world, "backups undelete orders/one --json");
    expect([exitCode, JSON.parse(stdout).state]).toEqual([0, "ACTIVE"]);
  });

  it("asks for the word and says what will happen", async () => {
    await take();
    const { exitCode, stderr } = await valkeepOn(world, "backups delete orders/one", { input: "yes\n" });
    expect([exitCode, (await stored())?.state]).toEqual([3, "ACTIVE"]);
    expect(stderr).toContain("is erased once its grace of 24h is over.\nType the word delete to go on: ");
  });

  it("refuses to undelete what was not deleted", async () => {
    await take();
    expect((await valkeepOn(world, "backups undelete orders/one")).exitCode).toBe(3);
  });

  it("asks nothing about a backup that is not there", async () => {
    const { exitCode, stderr } = await valkeepOn(world, "backups delete orders/none");
    expect([exitCode, stderr]).toEqual([3, "there is no backupCollections/orders/backups/none (NOT_FOUND)\n"]);
  });
});

describe("backups export", () => {
  it("copies the files and says where they are", async () => {
    await take();
    const { exitCode, stdout } = await valkeepOn(world, `backups export orders/one --gcs-bucket=${exports}`);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`uri: gs://${exports}/${name}`);
    expect(world.ports.objects.contents(exports, `${name}/manifest.json`)).toBeDefined();
  });

  it("is refused into the vault", async () => {
    await take();
    expect((await valkeepOn(world, `backups export orders/one --gcs-bucket=${vault}`)).exitCode).toBe(3);
  });
});

describe("backups check", () => {
  const check = (flags = "") => valkeep(`backups check orders/one ${flags}`, world);

  it("finds a backup as it was stored", async () => {
    await take();
    const { exitCode, stdout } = await check("--json");
    const totalSizeBytes = (await stored())?.totalSizeBytes;
    expect([exitCode, JSON.parse(stdout)]).toEqual([0, { backup: name, result: "ok", fileCount: 1, totalSizeBytes }]);
  });

  it("finds one flipped bit", async () => {
    await take();
    world.ports.objects.corrupt(vault, `${name}/0.rdb`, 40);
    const { exitCode, stdout } = await check("--json");
    expect([exitCode, JSON.parse(stdout).error.code]).toEqual([1, "DATA_LOSS"]);
    expect(JSON.parse(stdout).error.message).toContain(`gs://${vault}/${name}/0.rdb`);
  });

  it.each(["0.rdb", "manifest.json"])("finds that %s is missing", async (file) => {
    await take();
    const found = await world.ports.objects.stat(vault, `${name}/${file}`);
    if (found !== undefined) await world.ports.objects.remove(found);
    const { exitCode, stderr } = await check();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(new RegExp(`${file} is missing.*\\(DATA_LOSS\\)`));
  });

  it("finds that another file is in its place", async () => {
    await take();
    const found = await world.ports.objects.stat(vault, `${name}/0.rdb`);
    const bytes = world.ports.objects.contents(vault, `${name}/0.rdb`) ?? Buffer.alloc(0);
    if (found !== undefined) await world.ports.objects.remove(found);
    async function* same() {
      yield bytes;
    }
    await world.ports.objects.create(vault, `${name}/0.rdb`, same(), {});
    const { exitCode, stderr } = await check();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/generation is \d+, \d+ was recorded/);
  });

  it("finds that the facts that were recorded are others", async () => {
    await take();
    const doc = await world.ports.store.get<Backup>(name);
    const backupFiles = doc?.data.backupFiles.map((file) => ({ ...file, keys: file.keys + 1 })) ?? [];
    const data = { ...doc?.data, backupFiles };
    await world.ports.store.commit([{ kind: "put", path: name, data, updateTime: doc?.updateTime ?? "" }]);
    const { exitCode, stderr } = await check();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("names other files than the backup");
  });

  it("refuses one that is still being taken", async () => {
    await valkeep("backups create orders --backup-id=one --async", world);
    await world.deliver(world.events.take()[0] ?? expect.unreachable());
    const { exitCode, stderr } = await check();
    expect(exitCode).toBe(3);
    expect(stderr).toContain("it is still being taken");
  });
});
