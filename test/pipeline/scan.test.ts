import { beforeEach, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import type { MemoryServer } from "../../shared/memory/valkey.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { objectsOf } from "./objects.ts";
import { fill, register } from "./registered.ts";
import { operationsOf } from "./requested.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

const nightly = backupName("orders", "nightly");
const large = { usedMemoryBytes: 1e12 };
let world: World;
let server: MemoryServer;

beforeEach(() => {
  world = createWorld();
  server = world.valkey.start("127.0.0.1:7001");
  fill(server, 100);
  server.refusesReplication = true;
});

async function take(method?: "SCAN" | "REPLICATION"): Promise<Backup | undefined> {
  const instance = instanceOf("orders", "127.0.0.1:7001");
  await register(world, { ...instance, ...(method !== undefined && { snapshotMethod: method }) });
  const data = { instance: "orders", backupId: "nightly" };
  await world.events.publish({ type: "backup.v1.requested", data, attributes: {} });
  await world.settle();
  return (await world.ports.store.get<Backup>(nightly))?.data;
}

const files = [`${nightly}/0.rdb`, `${nightly}/manifest.json`];
const segments = async (): Promise<string[]> =>
  (await objectsOf(world, vault)).filter((name) => name.includes(".segments/"));

describe("a server that refuses the replication protocol", () => {
  it("is scanned, and its backup says so, with its span of time", async () => {
    const backup = await take();
    expect(backup).toMatchObject({
      state: "ACTIVE",
      consistency: "FUZZY",
      backupFiles: [{ consistency: "FUZZY", keys: 100 }],
    });
    const [file] = backup?.backupFiles ?? [];
    expect(file?.snapshotStartTime).toMatch(/^2026-01-01T00/);
    expect(Date.parse(file?.snapshotEndTime ?? "")).toBeGreaterThanOrEqual(Date.parse(file?.snapshotStartTime ?? ""));
    expect(await objectsOf(world, vault)).toEqual(files);
  });

  it("is not scanned where replication was asked for", async () => {
    expect(await take("REPLICATION")).toBeUndefined();
    const [operation] = await operationsOf(world, "backup");
    expect(operation?.error).toMatchObject({ code: "PERMISSION_DENIED" });
  });
});

it("a server that gives snapshots is scanned where that was asked for", async () => {
  server.refusesReplication = false;
  expect(await take("SCAN")).toMatchObject({ state: "ACTIVE", consistency: "FUZZY" });
});

describe("a shard of a large cluster", () => {
  /** The segments that a server of 3 GB is scanned in, as it is or as one of so many shards. */
  async function segmentsOf(shards: number): Promise<number> {
    const shard = { endpoint: "127.0.0.1:7001", node: "a", runId: "run", databases: {}, expiredKeys: 0 };
    const list = Array.from({ length: shards }, () => shard);
    server.answers = { usedMemoryBytes: 3e9, ...(shards > 1 && { shards: list }) };
    const { create } = world.ports.objects;
    let segmentCount = 0;
    world.ports.objects.create = async (bucket, object, ...rest) => {
      if (object.includes(".segments/")) segmentCount++;
      return await create(bucket, object, ...rest);
    };
    expect(await take()).toMatchObject({ state: "ACTIVE", consistency: "FUZZY" });
    return segmentCount;
  }

  it("is scanned at once where its share fits a delivery, though the whole would not", async () => {
    expect(await segmentsOf(3)).toBe(0);
  });

  it("is scanned in segments where its share does not fit", async () => {
    expect(await segmentsOf(1)).toBe(1);
  });
});

describe("a scan that does not fit one delivery", () => {
  beforeEach(() => {
    Object.assign(server, { keysOfScan: 10, answers: large });
  });

  it("is one file in the end, the same as if it had fitted, and nothing is left of its segments", async () => {
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    expect(await objectsOf(world, vault)).toEqual(files);
  });

  it("joins more segments than one call takes", async () => {
    server.keysOfScan = 1;
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    expect(await objectsOf(world, vault)).toEqual(files);
  });

  it("begins anew where the server was started anew meanwhile, and writes no key twice", async () => {
    const { scan } = world.valkey;
    let calls = 0;
    world.valkey.scan = (...args) => {
      if (calls++ === 4) server.runId = "another";
      return scan(...args);
    };
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    expect(await objectsOf(world, vault)).toEqual(files);
    expect(calls).toBe(4 + 1 + 10);
  });

  it("leaves no segments where the server gives a snapshot in the end", async () => {
    const { scan } = world.valkey;
    let calls = 0;
    world.valkey.scan = (...args) => {
      if (calls++ === 4) server.refusesReplication = false;
      return scan(...args);
    };
    const backup = await take();
    expect(backup).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    expect(backup?.consistency).not.toBe("FUZZY");
    expect(await objectsOf(world, vault)).toEqual(files);
  });

  it("begins anew although whoever removed the segments of a void scan died before the last", async () => {
    const { scan } = world.valkey;
    const { remove } = world.ports.objects;
    let calls = 0;
    let removals = 0;
    world.valkey.scan = (...args) => {
      if (calls++ === 4) server.runId = "another";
      return scan(...args);
    };
    world.ports.objects.remove = async (object) => {
      if (++removals === 3) throw new StatusError("UNAVAILABLE", "the bucket does not answer");
      await remove(object);
    };
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    expect(await objectsOf(world, vault)).toEqual(files);
  });

  it("is whole although the bucket keeps its segments, which go with the backup", async () => {
    world.ports.objects.retain(vault, 86_400);
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100 }] });
    expect(await segments()).toHaveLength(10);
    world.ports.objects.retain(vault, 0);
    await world.events.publish({
      type: "deletion.v1.requested",
      data: { backup: nightly, grace: "0s" },
      attributes: {},
    });
    await world.settle();
    await world.clock.advance(1_000);
    await world.events.publish({ type: "sweep.v1.requested", data: {}, attributes: {} });
    await world.settle();
    expect(await objectsOf(world, vault)).toEqual([]);
  });

  it("begins anew beside the segments of another scan that the bucket keeps", async () => {
    world.ports.objects.retain(vault, 86_400);
    const { scan } = world.valkey;
    let calls = 0;
    world.valkey.scan = (...args) => {
      if (calls++ === 4) server.runId = "another";
      return scan(...args);
    };
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100 }] });
  });

  it("neither takes nor removes segments that another operation has left", async () => {
    const foreign = `${nightly}/0.segments/20250101T000000000Z-0000`;
    const metadata = { operation: "operations/backup-other", shard: "0" };
    await world.ports.objects.create(vault, foreign, once(Buffer.from("theirs")), metadata);
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    expect(await segments()).toEqual([foreign]);
  });

  it("leaves nothing behind when it fails", async () => {
    const { scan } = world.valkey;
    let calls = 0;
    world.valkey.scan = async function* (instance, ...args) {
      yield* scan(instance, ...args);
      if (calls++ === 4) world.valkey.stop(instance.endpoint);
    };
    expect(await take()).toBeUndefined();
    await world.clock.advance(3_700_000);
    await world.tick();
    await world.settle();
    expect(await objectsOf(world, vault)).toEqual([]);
  });

  it("that only looked small is scanned in segments by the next attempt", async () => {
    server.answers = {};
    expect(await take()).toMatchObject({ state: "ACTIVE", backupFiles: [{ keys: 100, crc64: "ok" }] });
    const [operation] = await operationsOf(world, "backup");
    expect(operation?.error).toBeUndefined();
  });
});
