import { describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, indexObject, manifestObject } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import type { LoadOptions, LoadSource, Ports } from "../../shared/pipeline/ports.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { preamble } from "../aof/files.ts";
import { objectsOf } from "./objects.ts";
import { fill, register } from "./registered.ts";
import { begun, requested } from "./requested.ts";
import { slowed } from "./slowed.ts";
import { createWorld, exports, instanceOf, onward, vault, type World } from "./world.ts";

const nightly = backupName("orders", "nightly");
const uris = [0, 1].map((shard) => `gs://${vault}/${nightly}/${shard}.rdb`);
const intoCopy = { instance: "copy", backup: nightly, allowShrink: true, maxParallelLoads: 2 };

/** A backup of two shards of forty keys each, or of others, and an empty target. */
async function withBackup(borderBytes?: number, { shards = 2, keys = 80 } = {}): Promise<World> {
  const world = createWorld(borderBytes === undefined ? {} : { borderBytes });
  fill(world.valkey.start("127.0.0.1:7001", shards), keys);
  world.valkey.start("127.0.0.1:7002");
  await register(world, instanceOf("orders", "127.0.0.1:7001"), instanceOf("copy", "127.0.0.1:7002"));
  await requested(world, "backup.v1.requested", { instance: "orders", backupId: "nightly" });
  return world;
}

const backupOf = async (world: World): Promise<Backup | undefined> =>
  (await world.ports.store.get<Backup>(nightly))?.data;

function expectSameData(world: World): void {
  const source = world.valkey.servers.get("127.0.0.1:7001");
  expect(world.valkey.servers.get("127.0.0.1:7002")?.shards[0]).toEqual(
    new Map(source?.shards.flatMap((shard) => [...shard])),
  );
}

type Load = Ports["valkey"]["load"];

/** Every load passes by here first. */
function onLoad(world: World, act: (load: Load, ...args: Parameters<Load>) => ReturnType<Load>): void {
  const load = world.ports.valkey.load.bind(world.ports.valkey);
  world.ports.valkey.load = (...args) => act(load, ...args);
}

describe("the index of a file", () => {
  it("stands beside it and is pinned by the backup and its manifest; a small file has none", async () => {
    const world = await withBackup(100);
    const names = ["0.index.json", "0.rdb", "1.index.json", "1.rdb", "manifest.json"];
    expect(await objectsOf(world, vault)).toEqual(names.map((name) => `${nightly}/${name}`));
    const backup = await backupOf(world);
    for (const [shard, file] of backup?.backupFiles.entries() ?? []) {
      const found = await world.ports.objects.stat(vault, indexObject(nightly, shard));
      const { generation, crc32c, sizeBytes, metadata } = found ?? {};
      expect(file.index).toEqual({ generation, crc32c, sizeBytes });
      expect(metadata).toEqual({ operation: backup?.operation, shard: String(shard) });
    }
    expect(backup?.totalSizeBytes).toBe(backup?.backupFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    const small = await withBackup();
    expect(await objectsOf(small, vault)).toHaveLength(3);
    expect((await backupOf(small))?.backupFiles.map(({ index }) => index)).toEqual([undefined, undefined]);
  });

  it("takes the place of one that a failed operation has left", async () => {
    const world = createWorld({ borderBytes: 100 });
    fill(world.valkey.start("127.0.0.1:7001"), 80);
    await register(world, instanceOf("orders", "127.0.0.1:7001"));
    const metadata = { operation: "operations/backup-dead", shard: "0" };
    await world.ports.objects.create(vault, indexObject(nightly, 0), once(Buffer.from("{}")), metadata);
    const operation = await begun(world, "backup.v1.requested", { instance: "orders", backupId: "nightly" });
    expect(operation.error).toBeUndefined();
    expect((await world.ports.objects.stat(vault, indexObject(nightly, 0)))?.metadata.operation).toBe(operation.name);
  });

  it("goes along into copies, is held and erased with its file", async () => {
    const world = await withBackup(100);
    const copy = { gcsBucket: onward, retention: "30d" };
    const operation = await begun(world, "export.v1.requested", { backup: nightly, gcsBucket: exports, onward: copy });
    expect(operation.error).toBeUndefined();
    for (const bucket of [exports, onward]) {
      expect(await objectsOf(world, bucket)).toEqual(await objectsOf(world, vault));
      for (const object of await objectsOf(world, vault))
        expect(world.ports.objects.contents(bucket, object)).toEqual(world.ports.objects.contents(vault, object));
    }
    await requested(world, "hold.v1.requested", { backup: nightly, reason: "audit" });
    expect((await world.ports.objects.stat(vault, indexObject(nightly, 1)))?.isHeld).toBe(true);
    await requested(world, "release.v1.requested", { backup: nightly });
    await requested(world, "deletion.v1.requested", { backup: nightly, grace: "0s" });
    await requested(world, "sweep.v1.requested", {});
    expect(await objectsOf(world, vault)).toEqual([]);
  });

  it.each<[string, (world: World) => Promise<unknown>]>([
    ["is gone", async () => undefined],
    [
      "was replaced",
      async ({ ports }) => await ports.objects.create(vault, indexObject(nightly, 0), once(Buffer.from("{}")), {}),
    ],
  ])("is done without where it %s: the file is loaded whole, and the log says so", async (_, act) => {
    const world = await withBackup(100);
    const found = await world.ports.objects.stat(vault, indexObject(nightly, 0));
    if (found !== undefined) await world.ports.objects.remove(found);
    await act(world);
    const operation = await begun(world, "restore.v1.requested", intoCopy);
    expect(operation.error).toBeUndefined();
    const parts = operation.plan?.parts ?? [];
    expect(parts.filter(({ file }) => file === 0)).toEqual([{ file: 0 }]);
    expect(parts.filter(({ file }) => file === 1).length).toBeGreaterThan(1);
    expect(world.lines.filter(({ severity }) => severity === "WARNING").map(({ message }) => message)).toEqual([
      "loaded whole, without its index",
    ]);
    expectSameData(world);
  });

  it("is not missed by a hold, nor by an export, once it is gone: the files themselves are held and copied", async () => {
    const world = await withBackup(100);
    const found = await world.ports.objects.stat(vault, indexObject(nightly, 0));
    if (found !== undefined) await world.ports.objects.remove(found);
    const copy = { gcsBucket: exports, onward: { gcsBucket: onward } };
    expect((await begun(world, "export.v1.requested", { backup: nightly, ...copy })).error).toBeUndefined();
    const names = ["0.rdb", "1.index.json", "1.rdb", "manifest.json"].map((name) => `${nightly}/${name}`);
    for (const bucket of [exports, onward]) expect(await objectsOf(world, bucket)).toEqual(names);
    expect((await begun(world, "hold.v1.requested", { backup: nightly, reason: "audit" })).error).toBeUndefined();
    for (const name of names) expect((await world.ports.objects.stat(vault, name))?.isHeld).toBe(true);
  });

  it("is not missed where only the manifest is left to rebuild from", async () => {
    const world = await withBackup(100);
    const before = await backupOf(world);
    const paths = Object.keys(world.ports.store.all());
    await world.ports.store.commit(paths.map((path) => ({ kind: "remove", path })));
    const found = await world.ports.objects.stat(vault, indexObject(nightly, 0));
    if (found !== undefined) await world.ports.objects.remove(found);
    await requested(world, "rebuild.v1.requested", {});
    expect((await backupOf(world))?.backupFiles).toEqual(before?.backupFiles);
  });
});

/** A restore of so many files in a bucket, of each of which the second piece comes so late. */
async function restoreOf(shards: number, lateMs: number): Promise<Operation> {
  const world = await withBackup(undefined, { shards, keys: 40 * shards });
  const read = world.ports.objects.read.bind(world.ports.objects);
  world.ports.objects.read = async function* (of, range, signal) {
    let pieces = 0;
    for await (const piece of read(of, range, signal)) {
      if (of.object.endsWith(".rdb") && ++pieces === 2) await world.clock.sleep(lateMs, signal);
      yield piece;
    }
  };
  const gcsSourceUris = Array.from({ length: shards }, (_, shard) => `gs://${vault}/${nightly}/${shard}.rdb`);
  return await begun(world, "restore.v1.requested", { instance: "copy", gcsSourceUris });
}

describe("a restore in parts", () => {
  it("has so many parts on their way at once, and loads each byte of each file once", async () => {
    const world = await withBackup(100);
    let [now, most] = [0, 0];
    const ranges: { object: number; start: number; end: number }[] = [];
    onLoad(world, async (load, instance, source, options, signal) => {
      most = Math.max(most, ++now);
      await world.clock.sleep(1_000, signal);
      const { startOffset: start = 0, endOffset: end = source.facts.sizeBytes } = source.stretch ?? {};
      ranges.push({ object: source.facts.sizeBytes, start, end });
      return await load(instance, source, options, signal).finally(() => now--);
    });
    await world.events.publish({ type: "restore.v1.requested", data: intoCopy, attributes: {} });
    for (let messages = world.events.take(); messages.length > 0; messages = world.events.take())
      await Promise.all(messages.map((message) => world.deliver(message)));
    const [operation] = (await world.ports.store.query<Operation>({ collection: "operations" })).filter(
      ({ data }) => data.verb === "restore",
    );
    expect(operation?.data).toMatchObject({ done: true, response: { keys: 80 } });
    expect(most).toBe(2);
    expect(ranges.length).toBe(operation?.data.plan?.parts.length);
    expect(ranges.length).toBeGreaterThan(7);
    const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    expect(bytes).toBe((await backupOf(world))?.totalSizeBytes);
    expect(operation?.data.plan?.loaded).toHaveLength(2);
    expectSameData(world);
  });

  it("goes on from its last mark when its time is over, or it was lost, and counts on from there", async () => {
    const world = await withBackup();
    const marks: (LoadOptions["from"] | undefined)[] = [];
    onLoad(world, async (load, instance, source: LoadSource, options, signal) => {
      if (source.facts.keys === 40) marks.push(options.from);
      return await load(instance, source, options, signal);
    });
    slowed(world, 90_000); // each file has seven pieces: more than fit into 540 s
    const operation = await begun(world, "restore.v1.requested", { ...intoCopy, maxParallelLoads: 1 });
    expect(operation.error).toBeUndefined();
    expect(operation.response).toMatchObject({ keys: 80 });
    expect(marks.length).toBeGreaterThan(2);
    const goneOn = marks.filter((mark) => mark !== undefined);
    expect(goneOn.length).toBe(marks.length - 2);
    for (const { offset, result } of goneOn)
      expect([offset > 0, result.databases[0]?.keys ?? 0]).toEqual([true, expect.any(Number)]);
    expectSameData(world);
  });

  it("is not given up while a part without an index takes delivery after delivery", async () => {
    const world = await withBackup(undefined, { keys: 160 });
    let deliveries = 0;
    onLoad(world, async (load, instance, source, options, signal) => {
      if (options.part === 0) deliveries++;
      return await load(instance, source, options, signal);
    });
    slowed(world, 500_000); // one piece fits into 540 s
    const operation = await begun(world, "restore.v1.requested", { ...intoCopy, maxParallelLoads: 1 });
    expect(operation.error).toBeUndefined();
    expect(operation.response).toMatchObject({ keys: 160 });
    expect(deliveries).toBeGreaterThan(10);
    expectSameData(world);
  });

  it("of files in a bucket is not given up while each delivery reads one of them", async () => {
    const operation = await restoreOf(12, 300_000);
    expect(operation.error).toBeUndefined();
    expect(operation.plan?.files).toHaveLength(12);
  });

  it("of files in a bucket is given up where ten deliveries have read none to its end", async () => {
    const operation = await restoreOf(1, 600_000);
    expect(operation.error).toEqual({
      code: "DEADLINE_EXCEEDED",
      message: expect.stringMatching(/^gave up after 10 attempts: /),
    });
  });

  it("of files in a bucket goes on with those that were not read yet", async () => {
    const world = await withBackup(100);
    const reads = slowed(world, 60_000);
    const operation = await begun(world, "restore.v1.requested", {
      instance: "copy",
      gcsSourceUris: uris,
      maxParallelLoads: 1,
    });
    expect(operation.error).toBeUndefined();
    const whole = reads.filter(({ start, object }) => start === 0 && !object.endsWith("manifest.json"));
    const count = (shard: number) => whole.filter(({ object }) => object.endsWith(`${shard}.rdb`)).length;
    // Each is read whole by the plan, the second one twice as the first delivery ended in it, and each has a part that begins at 0.
    expect([count(0), count(1)]).toEqual([2, 3]);
    expect(operation.plan?.parts).toHaveLength(4);
    expectSameData(world);
  });

  it.each([
    ["a file", undefined],
    ["a stretch", 100],
  ])("reads %s again from its start that has arrived damaged, whatever marks it had left", async (_, borderBytes) => {
    const world = await withBackup(borderBytes);
    slowed(world, 3_000); // time enough for every mark to be kept
    const damaged = new Set<string>();
    const read = world.ports.objects.read.bind(world.ports.objects);
    world.ports.objects.read = async function* (of, range, signal) {
      const place = `${of.object} ${range?.start}`;
      const isFirst = of.object.endsWith(".rdb") && !damaged.has(place);
      damaged.add(place);
      let at = range?.start ?? 0;
      for await (const piece of read(of, range, signal)) {
        const bytes = Buffer.from(piece);
        // The one byte of the first value: the record is whole, and says something else.
        const value = isFirst ? bytes.indexOf("\u0001v") : -1;
        if (value >= 0 && at > (range?.start ?? 0)) bytes[value + 1] = 0x77;
        at += piece.length;
        yield bytes;
      }
    };
    const operation = await begun(world, "restore.v1.requested", { ...intoCopy, maxParallelLoads: 1 });
    expect(operation.error).toBeUndefined();
    const hasStretches = operation.plan?.parts.map(({ stretch }) => stretch !== undefined) ?? [];
    expect(new Set(hasStretches)).toEqual(new Set([borderBytes !== undefined]));
    const tasks = await world.ports.store.query<Task>({ collection: `${operation.name}/tasks` });
    expect(Math.max(...tasks.map(({ data }) => data.attempt))).toBe(2);
    expectSameData(world);
  });

  it("fails where a file arrives damaged for the third time", async () => {
    const world = await withBackup();
    let loads = 0;
    onLoad(world, async (_load, _instance, _source, { part }) => {
      if (part === 0) loads++;
      throw new StatusError("DATA_LOSS", "the CRC64 does not agree");
    });
    const operation = await begun(world, "restore.v1.requested", intoCopy);
    expect([operation.error?.code, loads]).toEqual(["DATA_LOSS", 3]);
  });

  it.each([
    ["once", 1, 1, undefined],
    ["each time", 20, 3, "DATA_LOSS"],
  ])("reads a part again that has arrived damaged %s after many deliveries", async (_, times, damages, code) => {
    const world = await withBackup();
    let damaged = 0;
    onLoad(world, async (load, instance, source, options, signal) => {
      const isThere = options.part === 0 && (options.from?.offset ?? 0) > source.facts.sizeBytes / 2;
      if (isThere && damaged < times) {
        damaged++;
        throw new StatusError("DATA_LOSS", "the CRC64 does not agree");
      }
      return await load(instance, source, options, signal);
    });
    slowed(world, 500_000); // one piece fits into 540 s
    const operation = await begun(world, "restore.v1.requested", { ...intoCopy, maxParallelLoads: 1 });
    expect([operation.error?.code, damaged]).toEqual([code, damages]);
    if (code === undefined) expectSameData(world);
  });

  it("fails where a part has not read what the file holds, whatever the target shows", async () => {
    const world = await withBackup(100);
    onLoad(world, async (load, instance, source, options, signal) => {
      const result = await load(instance, source, options, signal);
      const [database] = Object.values(result.databases);
      if (options.part === 1 && database !== undefined) database.keys--;
      return result;
    });
    const operation = await begun(world, "restore.v1.requested", intoCopy);
    expect(operation.error).toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringMatching(/1\.rdb 39 keys without expiry were loaded into database 0, it holds 40/),
    });
  });

  it.each([
    ["before", 1],
    ["after", 2],
  ])("into a cluster whose slots are seen to move right %s the count is compared once they rest: a key on its way is counted twice, or not at all", async (_, tellsAt) => {
    const world = await withBackup();
    const server = world.valkey.servers.get("127.0.0.1:7002");
    if (server !== undefined) server.answers = { mode: "CLUSTER" };
    const { valkey } = world.ports;
    const { describe: describeIt, shardCount } = valkey;
    let counted = 0;
    valkey.describe = async (...args) => {
      const found = await describeIt(...args);
      const isMoving = ++counted === 2 && tellsAt === 2; // the first is the plan's
      return isMoving ? { ...found, databases: { 0: { keys: 83, expires: 0 } } } : found;
    };
    let hasTold = false;
    valkey.shardCount = async (...args) => {
      const isLoaded = [...(server?.shards[0] ?? [])].length === 80;
      if (!isLoaded || counted < tellsAt || hasTold) return await shardCount(...args);
      hasTold = true;
      throw new StatusError("FAILED_PRECONDITION", "slots are moving at 127.0.0.1:7002");
    };
    await register(world, { ...instanceOf("pair", "127.0.0.1:7002"), mode: "CLUSTER" });
    const operation = await begun(world, "restore.v1.requested", { ...intoCopy, instance: "pair" });
    expect(operation.error).toBeUndefined();
    expect(operation.response).toMatchObject({ keys: 80 });
    expect([hasTold, counted]).toEqual([true, tellsAt + 1]);
  });

  it("into a cluster that has lost keys says so, though its slots are at rest", async () => {
    const world = await withBackup();
    const server = world.valkey.servers.get("127.0.0.1:7002");
    if (server !== undefined) server.answers = { mode: "CLUSTER" };
    onLoad(world, async (load, ...args) => {
      const result = await load(...args);
      const [first] = server?.shards[0]?.keys() ?? [];
      server?.shards[0]?.delete(first ?? "");
      return result;
    });
    await register(world, { ...instanceOf("pair", "127.0.0.1:7002"), mode: "CLUSTER" });
    const operation = await begun(world, "restore.v1.requested", { ...intoCopy, instance: "pair" });
    expect(operation.error).toMatchObject({ code: "DATA_LOSS" });
  });

  it("of the shards of two backups warns of it", async () => {
    const world = await withBackup();
    const server = world.valkey.servers.get("127.0.0.1:7001");
    if (server !== undefined) server.layout = [{ slots: "0-8191" }, { slots: "8192-16383" }];
    const of = (id: string, shard: number) => `gs://${vault}/${backupName("orders", id)}/${shard}.rdb`;
    for (const backupId of ["monday", "tuesday"])
      await requested(world, "backup.v1.requested", { instance: "orders", backupId });
    const gcsSourceUris = [of("monday", 0), of("tuesday", 1)];
    const operation = await begun(world, "restore.v1.requested", { instance: "copy", gcsSourceUris, dryRun: true });
    expect(operation.checks?.find(({ name }) => name === "slots")).toEqual({
      name: "slots",
      result: "WARN",
      message: expect.stringMatching(/of 2 backups \(.*monday, .*tuesday\)/),
    });
  });

  it("believes no manifest beside a file that is not the one it names", async () => {
    const world = await withBackup();
    const server = world.valkey.servers.get("127.0.0.1:7001");
    if (server !== undefined) server.layout = [{ slots: "0-8191" }, { slots: "8192-16383" }];
    await requested(world, "backup.v1.requested", { instance: "orders", backupId: "monday" });
    const name = backupName("orders", "monday");
    const found = await world.ports.objects.stat(vault, `${name}/0.rdb`);
    if (found !== undefined) await world.ports.objects.remove(found);
    await world.ports.objects.create(vault, `${name}/0.rdb`, once(preamble(1)), {});
    const gcsSourceUris = [`gs://${vault}/${name}/0.rdb`];
    const operation = await begun(world, "restore.v1.requested", { instance: "copy", gcsSourceUris, dryRun: true });
    expect(operation.checks?.find((check) => check.name === "slots")?.message).toBe(
      "no manifest says that the files are shards of a cluster",
    );
  });

  it("keeps no progress of a part that is done", async () => {
    const world = await withBackup(100);
    const { name } = await begun(world, "restore.v1.requested", intoCopy);
    const tasks = await world.ports.store.query<Task>({ collection: `${name}/tasks` });
    expect(tasks.map(({ data }) => data.progress)).toEqual(tasks.map(() => undefined));
  });
});

it("has manifests that name the index of each file", async () => {
  const world = await withBackup(100);
  const manifest = JSON.parse(
    Buffer.from(world.ports.objects.contents(vault, manifestObject(nightly)) ?? []).toString(),
  );
  expect(manifest.backupFiles).toMatchObject([
    { index: { generation: expect.any(String) } },
    { index: { crc32c: expect.any(String) } },
  ]);
});
