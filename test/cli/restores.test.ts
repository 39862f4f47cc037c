import { beforeEach, describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { createWorld, inbox, instanceOf, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7002";
const id = "at-127-0-0-1-7002";
const uri = `gs://${inbox}/folder/dump.rdb`;
let world: World;

beforeEach(async () => {
  world = createWorld();
  const file = writeRdb({ magic: "REDIS", rdbVersion: 11 }, [
    { kind: "record", db: 0, key: Buffer.from("a"), type: 0, value: encodeString("value") },
  ]);
  async function* source() {
    yield file;
  }
  await world.ports.objects.create(inbox, "folder/dump.rdb", source(), {});
});

const stored = async (instanceId: string) => (await world.ports.store.get<Instance>(`instances/${instanceId}`))?.data;

async function register(instanceId: string): Promise<void> {
  const instance = instanceOf(instanceId, endpoint);
  await world.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
}

async function requestOf(stdout: string): Promise<unknown> {
  const operation = (await world.ports.store.get<Operation>(stdout.trim()))?.data;
  return operation?.request.data;
}

describe("restores create", () => {
  it("registers the endpoint and loads the file into it", async () => {
    const server = world.valkey.start(endpoint);
    const { exitCode, stdout, stderr } = await valkeepOn(
      world,
      `restores create --gcs-source-uris=${uri} --to=${endpoint} --json`,
    );
    expect(exitCode).toBe(0);
    expect(server.shards[0]?.size).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ done: true, response: { instance: `instances/${id}`, keys: 1 } });
    expect(stderr).toContain(`${endpoint} is registered as ${id}`);
    expect(await stored(id)).toMatchObject({ endpoint, automatedBackupConfig: { automatedBackupMode: "DISABLED" } });
  });

  it("says of an endpoint that it is registered only once it is", async () => {
    const { exitCode, stderr } = await valkeep(`restores create --backup=orders/none --to=${endpoint}`, world);
    expect([exitCode, stderr]).toEqual([3, "there is no backupCollections/orders/backups/none (NOT_FOUND)\n"]);
    expect(await stored(id)).toBeUndefined();
  });

  it("refuses a file in a bucket that does not exist, without trying again", async () => {
    world.valkey.start(endpoint);
    const { exitCode, stderr } = await valkeepOn(
      world,
      `restores create --gcs-source-uris=gs://no-such-bucket/dump.rdb --to=${endpoint}`,
    );
    expect(exitCode).toBe(3);
    expect(stderr).toContain("there is no gs://no-such-bucket/dump.rdb: its bucket does not exist (NOT_FOUND)");
    expect(stderr).not.toContain("it will be tried again");
  });

  it("finds an instance that is registered with the endpoint", async () => {
    await register("orders");
    const { stdout } = await valkeep(`restores create --gcs-source-uris=${uri} --to=${endpoint} --async`, world);
    expect(await requestOf(stdout)).toMatchObject({ instance: "orders", gcsSourceUris: [uri] });
    expect(await stored(id)).toBeUndefined();
  });

  it("takes the id of an instance", async () => {
    await register("orders");
    const { stdout } = await valkeep("restores create --backup=orders/one --to=orders --async", world);
    expect(await requestOf(stdout)).toMatchObject({
      instance: "orders",
      backup: "backupCollections/orders/backups/one",
    });
  });

  it("takes how many parts are loaded at once", async () => {
    await register("orders");
    const line = "restores create --backup=orders/one --to=orders --async --max-parallel-loads";
    expect(await requestOf((await valkeep(`${line}=100`, world)).stdout)).toMatchObject({ maxParallelLoads: 100 });
    for (const count of ["0", "101", "-1", "2.5", "many"])
      expect((await valkeep(`${line}=${count}`, world)).exitCode).toBe(2);
  });

  it("registers how the endpoint is reached", async () => {
    const flags = "--auth-user=loader --auth-secret=env:PASSWORD --location=us-east1";
    await valkeep(`restores create --gcs-source-uris=${uri} --to=${endpoint} ${flags} --async`, world);
    expect(await stored(id)).toMatchObject({
      authUser: "loader",
      authSecret: "env:PASSWORD",
      location: "us-east1",
    });
  });

  it("changes how the endpoint is reached where a restore has registered it", async () => {
    const line = `restores create --gcs-source-uris=${uri} --to=${endpoint}`;
    expect((await valkeepOn(world, `${line} --auth-secret=env:WRONG --request-id=1`)).exitCode).toBe(1);
    await valkeep(`${line} --auth-secret=env:RIGHT --async`, world);
    expect((await stored(id))?.authSecret).toBe("env:RIGHT");
  });

  it("does not change how a person has said that an instance is reached", async () => {
    await register("orders");
    const line = `restores create --gcs-source-uris=${uri} --to=${endpoint} --auth-secret=env:OTHER`;
    const { exitCode, stderr } = await valkeep(line, world);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("valkeep instances update orders");
  });

  it("refuses an endpoint at which two instances are registered", async () => {
    await register("orders");
    await register("users");
    const { exitCode, stderr } = await valkeep(`restores create --backup=orders/one --to=${endpoint}`, world);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("is registered as orders and users: name the instance");
  });

  it("refuses an endpoint whose id is taken by another", async () => {
    await register(id);
    const { exitCode } = await valkeep(`restores create --backup=orders/one --to=127.0.0-1:7002`, world);
    expect(exitCode).toBe(3);
  });

  it("exits 3 where the target holds keys, and leaves them", async () => {
    const shard = world.valkey.start(endpoint).shards[0];
    shard?.set("0:00", { type: 0, expireTimeMs: -1, value: encodeString("x") });
    const { exitCode, stderr } = await valkeepOn(world, `restores create --gcs-source-uris=${uri} --to=${endpoint}`);
    expect([exitCode, shard?.size]).toEqual([3, 1]);
    expect(stderr).toContain("a restore wants an empty one");
  });

  it("exits 3 for a backup that is not there", async () => {
    world.valkey.start(endpoint);
    expect((await valkeepOn(world, `restores create --backup=orders/none --to=${endpoint}`)).exitCode).toBe(3);
  });
});
