import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import { type Check, checkNames } from "../../shared/backup/check.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { keyName, type MemoryServer } from "../../shared/memory/valkey.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { register } from "../pipeline/registered.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7002";
const id = "at-127-0-0-1-7002";
const line = `restores create --backup=orders/nightly --to=${endpoint}`;
const shape = { location: "us-east1", nodeType: "HIGHMEM_MEDIUM", shardCount: 1, replicaCount: 2 };
let world: World;
let server: MemoryServer;

beforeEach(async () => {
  world = createWorld();
  const source = world.valkey.start("127.0.0.1:7001");
  source.shards[0]?.set(keyName(0, "a"), { type: 0, expireTimeMs: -1, value: encodeString("v") });
  source.answers = { replicaCount: 2 };
  server = world.valkey.start(endpoint);
  server.answers = { replicaCount: 2 };
  await register(world, { ...instanceOf("orders", "127.0.0.1:7001"), ...shape });
  await valkeepOn(world, "backups create orders --backup-id=nightly");
});

const stored = async (instanceId = id) => (await world.ports.store.get<Instance>(`instances/${instanceId}`))?.data;
const fill = (): void => void server.shards[0]?.set("0:00", { type: 0, expireTimeMs: -1, value: encodeString("x") });

/** The rows of a table, without its header: the first two cells of each. */
const rowsOf = (stdout: string): string[][] =>
  stdout
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((row) => row.split(/ {2,}/).slice(0, 2));

describe("restores create for an endpoint that nobody has registered", () => {
  it("registers it as large as the backup's source", async () => {
    expect((await valkeepOn(world, line)).exitCode).toBe(0);
    expect(await stored()).toMatchObject({ ...shape, endpoint, mode: "CLUSTER_DISABLED" });
  });

  it("registers what flags say in place of it", async () => {
    const flags = "--node-type=highmem-xlarge --shard-count=3 --replica-count=4 --mode=cluster --location=asia-east1";
    await valkeep(`${line} ${flags} --async`, world);
    expect(await stored()).toMatchObject({
      nodeType: "HIGHMEM_XLARGE",
      shardCount: 3,
      replicaCount: 4,
      mode: "CLUSTER",
      location: "asia-east1",
    });
  });

  it("changes what an earlier restore has registered, if flags say so", async () => {
    await valkeepOn(world, `${line} --replica-count=5`);
    await valkeepOn(world, `${line} --replica-count=2 --async`);
    expect(await stored()).toMatchObject({ replicaCount: 2, nodeType: "HIGHMEM_MEDIUM" });
  });

  it.each([
    "--shard-count=0",
    "--shard-count=251",
    "--shard-count=two",
    "--replica-count=-1",
    "--replica-count=1.5",
    "--node-type=highmem!",
    "--node-type=",
    "--mode=sharded",
  ])("takes no %s", async (flag) => {
    const { exitCode } = await valkeep(`${line} ${flag}`, world);
    expect([exitCode, await stored()]).toEqual([2, undefined]);
  });

  it("registers nothing for a backup that is not there", async () => {
    const { exitCode, stderr } = await valkeepOn(world, `restores create --backup=orders/none --to=${endpoint}`);
    expect([exitCode, await stored()]).toEqual([3, undefined]);
    expect(stderr).toContain("there is no backupCollections/orders/backups/none");
  });

  it("takes no shape for an instance that is registered", async () => {
    const { exitCode, stderr } = await valkeep(
      "restores create --backup=orders/nightly --to=orders --node-type=x",
      world,
    );
    expect(exitCode).toBe(2);
    expect(stderr).toContain("flags of access and shape are for what is not");
  });
});

describe("restores create into a target that is smaller than the backup's source", () => {
  beforeEach(() => {
    server.answers = { replicaCount: 1 };
  });

  it("exits 3, shows every check, and loads nothing", async () => {
    const { exitCode, stdout, stderr } = await valkeepOn(world, line);
    expect([exitCode, server.shards[0]?.size]).toEqual([3, 0]);
    expect(rowsOf(stdout).map(([name]) => name)).toEqual(checkNames);
    expect(rowsOf(stdout)).toContainEqual(["replicas", "FAIL"]);
    expect(stderr).toContain("the Backup has replicas: 2, the target has 1; --allow-shrink permits that");
  });

  it("with --allow-shrink loads it, and says what it is smaller in", async () => {
    const { exitCode, stderr } = await valkeepOn(world, `${line} --allow-shrink --replica-count=1`);
    expect([exitCode, server.shards[0]?.size]).toEqual([0, 1]);
    expect(stderr).toContain("replicas: the Backup has replicas: 2, the target has 1, which allowShrink permits");
  });
});

describe("restores create --dry-run", () => {
  it("prints a table of every check, exits 0 and leaves nothing", async () => {
    const { exitCode, stdout, stderr } = await valkeepOn(world, `${line} --dry-run`);
    expect(exitCode).toBe(0);
    expect(rowsOf(stdout)).toEqual(checkNames.map((name) => [name, "PASS"]));
    expect(stderr).toContain(`${endpoint} is not registered, and not by a dry run`);
    expect([await stored(), server.shards[0]?.size]).toEqual([undefined, 0]);
    expect((await world.ports.store.get<Backup>(backupName("orders", "nightly")))?.data.pins).toEqual([]);
  });

  it("prints the operation with its checks as JSON", async () => {
    const { stdout } = await valkeepOn(world, `${line} --dry-run --json`);
    const operation = JSON.parse(stdout) as Operation;
    expect(operation).toMatchObject({ verb: "restore", done: true });
    expect(operation.checks?.map(({ name }) => name)).toEqual(checkNames);
  });

  it("exits 3 with the table where a check refuses, and the first such check in the error", async () => {
    fill();
    const { exitCode, stdout, stderr } = await valkeepOn(world, `${line} --dry-run`);
    expect(exitCode).toBe(3);
    expect(rowsOf(stdout)).toContainEqual(["empty", "FAIL"]);
    expect(rowsOf(stdout)).toHaveLength(checkNames.length);
    expect(stderr).toMatch(
      /operations\/restore-.*: instances\/at-.* cannot take this restore: the target holds 1 keys/,
    );
    expect(await stored()).toBeUndefined();
  });

  it("has the checks in the error as JSON", async () => {
    fill();
    const { exitCode, stdout } = await valkeepOn(world, `${line} --dry-run --json`);
    const { error } = JSON.parse(stdout) as { error: { code: string; checks: Check[] } };
    expect([exitCode, error.code, error.checks.length]).toEqual([3, "FAILED_PRECONDITION", checkNames.length]);
  });

  it("checks with the flags of access and shape, and keeps none", async () => {
    await valkeepOn(world, `${line} --replica-count=2`);
    server.shards[0]?.clear();
    const before = await stored();
    const { exitCode, stdout } = await valkeepOn(world, `${line} --dry-run --replica-count=9`);
    expect([exitCode, rowsOf(stdout).find(([name]) => name === "replicas")]).toEqual([0, ["replicas", "WARN"]]);
    expect(await stored()).toEqual(before);
  });

  it("can be asked again, still registering nothing", async () => {
    fill();
    const { stderr } = await valkeepOn(world, `${line} --dry-run`);
    const operation = /operations\/(restore-\S+):/.exec(stderr)?.[1];
    server.shards[0]?.clear();
    const { exitCode } = await valkeepOn(world, `operations retry ${operation}`);
    expect([exitCode, await stored(), server.shards[0]?.size]).toEqual([0, undefined, 0]);
  });

  it("is waited for like any operation, and shows its checks if they refuse", async () => {
    fill();
    const { stdout: name } = await valkeep(`${line} --dry-run --async`, world);
    const { exitCode, stdout } = await valkeepOn(world, `operations wait ${name.trim()}`);
    expect([exitCode, rowsOf(stdout).length]).toEqual([3, checkNames.length]);
  });
});
