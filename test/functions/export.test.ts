import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, BackupCollection, Instance } from "../../shared/backup/backup.ts";
import { type BackupCopy, copyName } from "../../shared/backup/copy.ts";
import { day, later, timeOf } from "../../shared/backup/duration.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import type { ExportPolicy } from "../../shared/backup/export-policy.ts";
import { backupName, collectionName, instanceName } from "../../shared/backup/name.ts";
import type { Operation, Verb } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { change } from "../pipeline/change.ts";
import { objectsOf } from "../pipeline/objects.ts";
import { fill, register } from "../pipeline/registered.ts";
import { operationsOf, requested } from "../pipeline/requested.ts";
import { createWorld, exports, instanceOf, onward, vault, type World } from "../pipeline/world.ts";

let world: World;
const nightly = backupName("orders", "nightly");
const both = { backup: nightly, gcsBucket: exports, onward: { gcsBucket: onward } };

beforeEach(async () => {
  world = createWorld();
  fill(world.valkey.start("127.0.0.1:7001", 2), 6);
  await register(world, instanceOf("orders", "127.0.0.1:7001"));
});

const ask = <T extends EventType>(type: T, data: EventMap[T]) => requested(world, type, data);
const take = (backupId = "nightly") => ask("backup.v1.requested", { instance: "orders", backupId });
const automated = (backupId: string) =>
  ask("backup.v1.requested", { instance: "orders", backupId, backupType: "AUTOMATED" });

const operations = async (verb: Verb): Promise<Operation[]> =>
  (await operationsOf(world, verb)).sort((a, b) => (a.createTime < b.createTime ? -1 : 1));

const read = async <T>(path: string): Promise<T | undefined> => (await world.ports.store.get<T>(path))?.data;
const copyIn = (bucket: string, backup = nightly) => read<BackupCopy>(copyName(backup, bucket));

async function remove(bucket: string, object: string): Promise<void> {
  const found = await world.ports.objects.stat(bucket, object);
  if (found !== undefined) await world.ports.objects.remove(found);
}

const filesOf = (backup: string) => ["0.rdb", "1.rdb", "manifest.json"].map((file) => `${backup}/${file}`);

describe("by policy", () => {
  const weekly: ExportPolicy = { frequency: "WEEKLY", gcsBucket: exports, retentionSeconds: 90 * day };
  const exported = async () => (await operations("export")).map(({ target }) => target.split("/").at(-1));

  it("EVERY automated backup goes, and none that somebody asked for", async () => {
    await change<Instance>(world, instanceName("orders"), { exportPolicy: { frequency: "EVERY", gcsBucket: exports } });
    await automated("one");
    await take("two");
    await automated("three");
    expect(await exported()).toEqual(["one", "three"]);
    expect(await objectsOf(world, exports)).toEqual(
      ["one", "three"].flatMap((id) => filesOf(backupName("orders", id))),
    );
  });

  it("without a policy nothing goes", async () => {
    await automated("one");
    expect(await exported()).toEqual([]);
  });

  it("of a week the first one goes", async () => {
    // 2026-01-01 is a Thursday.
    await change<Instance>(world, instanceName("orders"), { exportPolicy: weekly });
    for (const id of ["thursday", "friday", "saturday", "sunday", "monday", "tuesday"]) {
      await automated(id);
      await world.clock.advance(day * 1000 - 1_000);
    }
    expect(await exported()).toEqual(["thursday", "monday"]);
    const copy = await copyIn(exports, backupName("orders", "monday"));
    expect(copy?.expireTime).toBe(later(copy?.createTime ?? "", 90 * day));
    expect((await read<BackupCollection>(collectionName("orders")))?.lastExport?.period).toBe("2026-W02");
  });

  it("of a month the first one goes, in the policy's time zone", async () => {
    const exportPolicy: ExportPolicy = { frequency: "MONTHLY", timeZone: "Asia/Tokyo", gcsBucket: exports };
    await change<Instance>(world, instanceName("orders"), { exportPolicy });
    await world.clock.advance((31 * 24 - 10) * 3_600_000); // 14:00 UTC, 23:00 in Tokyo, the 31st
    for (const id of ["january", "still-january"]) await automated(id);
    await world.clock.advance(3_600_000);
    for (const id of ["february", "still-february"]) await automated(id);
    expect(await exported()).toEqual(["january", "february"]);
  });

  it("to another bucket the next one goes, whatever the week", async () => {
    await change<Instance>(world, instanceName("orders"), { exportPolicy: weekly });
    await automated("one");
    await change<Instance>(world, instanceName("orders"), { exportPolicy: { ...weekly, gcsBucket: onward } });
    await automated("two");
    expect((await operations("export")).map(({ request }) => Object(request.data).gcsBucket)).toEqual([
      exports,
      onward,
    ]);
  });

  it("an export that fails leaves the backup as it is, and the next one of the week goes in its place", async () => {
    await change<Instance>(world, instanceName("orders"), { exportPolicy: { ...weekly, gcsBucket: "nowhere" } });
    await automated("one");
    expect(await read<Backup>(backupName("orders", "one"))).toMatchObject({ state: "ACTIVE", pins: [] });
    expect((await operations("backup")).map(({ error }) => error)).toEqual([undefined]);
    expect((await operations("export")).map(({ error }) => error)).toMatchObject([{ code: "NOT_FOUND" }]);
    await automated("two");
    expect(await exported()).toEqual(["one", "two"]);
  });

  it.each([
    ["the first bucket", { ...weekly, gcsBucket: "nowhere" }],
    ["the bucket onward", { ...weekly, onward: { gcsBucket: "nowhere" } }],
  ])("an export that is refused for %s alarms, as nobody waits for its answer", async (_name, exportPolicy) => {
    await change<Instance>(world, instanceName("orders"), { exportPolicy });
    await automated("one");
    const alarms = () => world.events.messages.filter(({ type }) => type === "operation.v1.failed");
    expect(alarms()).toMatchObject([{ data: { code: "NOT_FOUND", target: backupName("orders", "one") } }]);
    await ask("export.v1.requested", { backup: backupName("orders", "one"), gcsBucket: "nowhere" });
    expect(alarms()).toHaveLength(1);
  });

  it("a backup whose instance is gone by the time it is ACTIVE stays where it is", async () => {
    await change<Instance>(world, instanceName("orders"), { exportPolicy: weekly });
    const { create } = world.ports.objects;
    world.ports.objects.create = async (...args) => {
      const info = await create(...args);
      if (info.object.endsWith("manifest.json"))
        await world.ports.store.commit([{ kind: "remove", path: instanceName("orders") }]);
      return info;
    };
    await automated("one");
    expect(await read<Backup>(backupName("orders", "one"))).toMatchObject({ state: "ACTIVE" });
    expect(await exported()).toEqual([]);
  });
});

describe("onward", () => {
  beforeEach(() => take());

  const failed = async (code: string, message: RegExp) => {
    expect((await operations("export")).map(({ error }) => error)).toMatchObject([
      { code, message: expect.stringMatching(message) },
    ]);
    expect((await read<Backup>(nightly))?.pins).toEqual([]);
  };

  it("what failed there leaves the first copy whole and on record", async () => {
    await ask("export.v1.requested", { ...both, onward: { gcsBucket: "nowhere" } });
    await failed("NOT_FOUND", /bucket nowhere does not exist/);
    expect(await copyIn(exports)).toMatchObject({ gcsBucket: exports });
    expect(await objectsOf(world, exports)).toEqual(filesOf(nightly));
  });

  it.each(["multi-region", "dual-region"] as const)("a %s bucket is refused", async (locationType) => {
    const { describe: look } = world.ports.objects;
    world.ports.objects.describe = async (bucket) => ({
      ...(await look(bucket)),
      ...(bucket === onward && { locationType }),
    });
    await ask("export.v1.requested", both);
    await failed("FAILED_PRECONDITION", /expected a regional bucket/);
    expect(await objectsOf(world, onward)).toEqual([]);
  });

  it("a file that somebody else put there is refused and stays, and no manifest says that the copy is whole", async () => {
    await world.ports.objects.create(onward, `${nightly}/1.rdb`, once(Buffer.from("mine")), {});
    await ask("export.v1.requested", both);
    await failed("ALREADY_EXISTS", /is no copy of this backup; nothing is overwritten/);
    expect(world.ports.objects.contents(onward, `${nightly}/1.rdb`)?.toString()).toBe("mine");
    expect(await objectsOf(world, onward)).toEqual(filesOf(nightly).slice(0, 2));
    expect(await copyIn(onward)).toBeUndefined();
  });

  it("the same bytes that somebody else put there are no copy of ours either", async () => {
    const bytes = world.ports.objects.contents(vault, `${nightly}/0.rdb`) ?? Buffer.alloc(0);
    await world.ports.objects.create(onward, `${nightly}/0.rdb`, once(bytes), {});
    await ask("export.v1.requested", both);
    await failed("ALREADY_EXISTS", /is no copy of this backup/);
  });

  it.each(["0.rdb", "manifest.json"])("a first copy whose %s is gone by then fails it", async (file) => {
    const { describe: look } = world.ports.objects;
    world.ports.objects.describe = async (bucket) => {
      if (bucket === onward) await remove(exports, `${nightly}/${file}`);
      return await look(bucket);
    };
    await ask("export.v1.requested", both);
    await failed("DATA_LOSS", new RegExp(`gs://${exports}/${nightly}/${file} is (gone|not as the manifest names it)`));
    expect(await copyIn(onward)).toBeUndefined();
  });

  it("a first copy whose file was replaced by then fails it", async () => {
    const { describe: look } = world.ports.objects;
    world.ports.objects.describe = async (bucket) => {
      if (bucket === onward) {
        await remove(exports, `${nightly}/0.rdb`);
        await world.ports.objects.create(exports, `${nightly}/0.rdb`, once(Buffer.from("other")), {});
      }
      return await look(bucket);
    };
    await ask("export.v1.requested", both);
    await failed("DATA_LOSS", /not as the manifest names it/);
  });

  it("a first copy whose manifest is another's by then fails it", async () => {
    const { describe: look } = world.ports.objects;
    world.ports.objects.describe = async (bucket) => {
      if (bucket === onward) {
        const manifest = JSON.parse(
          world.ports.objects.contents(exports, `${nightly}/manifest.json`)?.toString() ?? "",
        );
        manifest.backupFiles[0].crc32c = "AAAAAA==";
        await remove(exports, `${nightly}/manifest.json`);
        const bytes = Buffer.from(JSON.stringify(manifest));
        await world.ports.objects.create(exports, `${nightly}/manifest.json`, once(bytes), {});
      }
      return await look(bucket);
    };
    await ask("export.v1.requested", both);
    await failed("DATA_LOSS", /names other files than the Backup does/);
    expect(await objectsOf(world, onward)).toEqual([]);
  });

  it("a permission that is denied fails it at once, and says so", async () => {
    const { copy } = world.ports.objects;
    world.ports.objects.copy = async (from, to, ...rest) => {
      if (to.bucket === onward) throw new StatusError("PERMISSION_DENIED", `copying to gs://${onward}: no`);
      return await copy(from, to, ...rest);
    };
    await ask("export.v1.requested", both);
    await failed("PERMISSION_DENIED", /copying to gs:\/\/onward/);
  });

  it("a copy that arrives damaged is removed and copied again", async () => {
    const { copy, stat } = world.ports.objects;
    const damaged = new Set<string>();
    world.ports.objects.copy = async (from, to, ...rest) => {
      const info = await copy(from, to, ...rest);
      if (to.bucket === onward && damaged.size < 2) damaged.add(info.generation);
      return info;
    };
    world.ports.objects.stat = async (bucket, object) => {
      const found = await stat(bucket, object);
      return found !== undefined && damaged.has(found.generation) ? { ...found, crc32c: "AAAAAA==" } : found;
    };
    await ask("export.v1.requested", both);
    expect(damaged.size).toBe(2);
    expect((await operations("export")).map(({ error }) => error)).toEqual([undefined]);
    expect(await objectsOf(world, onward)).toEqual(filesOf(nightly));
    for (const { generation } of (await copyIn(onward))?.objects ?? []) expect(damaged).not.toContain(generation);
  });

  it("a copy that runs out of time goes on where it was, in the file where it was", async () => {
    const { copy } = world.ports.objects;
    const resumed: [string, string | undefined][] = [];
    world.ports.objects.copy = async (from, to, metadata, signal, course) => {
      if (to.bucket !== onward) return await copy(from, to, metadata, signal);
      resumed.push([to.object.slice(nightly.length + 1), course?.resume]);
      const isFirst = course?.resume === undefined;
      if (to.object.endsWith("1.rdb") && isFirst) {
        course?.onProgress(1, "page 1");
        await world.clock.sleep(5_000, signal); // a renewal of the lease keeps it
        throw new StatusError("DEADLINE_EXCEEDED", "it took too long");
      }
      return await copy(from, to, metadata, signal);
    };
    await ask("export.v1.requested", both);
    expect((await operations("export")).map(({ error }) => error)).toEqual([undefined]);
    expect(resumed).toEqual([
      ["0.rdb", undefined],
      ["1.rdb", undefined],
      ["0.rdb", undefined],
      ["1.rdb", "page 1"],
      ["manifest.json", undefined],
    ]);
  });

  it("a copy that takes delivery after delivery is not given up as long as each gets on", async () => {
    const { copy } = world.ports.objects;
    let pages = 0;
    world.ports.objects.copy = async (from, to, metadata, signal, course) => {
      if (to.bucket !== onward || !to.object.endsWith("0.rdb") || pages === 25)
        return await copy(from, to, metadata, signal);
      course?.onProgress(++pages, "the token of all pages");
      await world.clock.sleep(5_000, signal);
      throw new StatusError("DEADLINE_EXCEEDED", "it took too long");
    };
    await ask("export.v1.requested", both);
    expect(pages).toBe(25);
    expect((await operations("export")).map(({ error }) => error)).toEqual([undefined]);
    expect(await objectsOf(world, onward)).toEqual(filesOf(nightly));
  });

  it("what an earlier attempt had begun, and is worth nothing, is copied from its beginning", async () => {
    const { copy } = world.ports.objects;
    const begun: (string | undefined)[] = [];
    world.ports.objects.copy = async (from, to, metadata, signal, course) => {
      if (to.bucket !== onward || !to.object.endsWith("0.rdb")) return await copy(from, to, metadata, signal);
      begun.push(course?.resume);
      if (course?.resume !== undefined)
        return { ...from, ...to, sizeBytes: 1, crc32c: "", createTime: "", metadata: {} };
      if (begun.length > 1) return await copy(from, to, metadata, signal);
      course?.onProgress(1, "page 1");
      await world.clock.sleep(5_000, signal);
      throw new StatusError("DEADLINE_EXCEEDED", "it took too long");
    };
    await ask("export.v1.requested", both);
    expect(begun).toEqual([undefined, "page 1", undefined]);
    expect((await operations("export")).map(({ error }) => error)).toEqual([undefined]);
    expect(await objectsOf(world, onward)).toEqual(filesOf(nightly));
  });

  it("a vault whose file is damaged is copied nowhere", async () => {
    world.ports.objects.corrupt(vault, `${nightly}/0.rdb`, 3);
    await ask("export.v1.requested", both);
    await failed("UNAVAILABLE", /gave up after 10 attempts: .*differs from its source and was removed/);
    expect(await objectsOf(world, exports)).toEqual([]);
    expect(await copyIn(exports)).toBeUndefined();
  });

  it("a copy that nobody exported is refused: the message belongs to an operation", async () => {
    await ask("copy.v1.requested", { backup: nightly, sourceBucket: exports, gcsBucket: onward });
    await ask("retirement.v1.requested", { backup: nightly, gcsBucket: exports, newerBackup: nightly });
    for (const verb of ["export", "retire"] as const)
      expect((await operations(verb)).map(({ error }) => error?.code)).toEqual(["INVALID_ARGUMENT"]);
  });
});

describe("a copy", () => {
  const second = backupName("orders", "second");

  /** Two backups, both copied, and so many days gone by. */
  async function twoCopies(days: number): Promise<void> {
    for (const id of ["nightly", "second"]) await take(id);
    for (const backup of [nightly, second])
      await ask("export.v1.requested", { backup, gcsBucket: exports, retention: "7d" });
    await world.clock.advance(days * day * 1000);
  }

  it("stays until its time has come", async () => {
    await twoCopies(6);
    await ask("sweep.v1.requested", {});
    expect(await operations("retire")).toEqual([]);
  });

  it("is erased once it has expired, but for the newest of its instance in the bucket", async () => {
    await twoCopies(8);
    await ask("sweep.v1.requested", {});
    await ask("sweep.v1.requested", {});
    expect((await operations("retire")).map(({ error, target }) => ({ error, target }))).toEqual([
      { error: undefined, target: nightly },
    ]);
    expect(await objectsOf(world, exports)).toEqual(filesOf(second));
    expect(await copyIn(exports)).toBeUndefined();
    expect(world.events.messages.filter(({ type }) => type === "copy.v1.deleted")).toHaveLength(1);
  });

  it("of another bucket or another instance does not make it dispensable", async () => {
    await take();
    await ask("export.v1.requested", { backup: nightly, gcsBucket: exports, retention: "7d" });
    await take("second");
    await ask("export.v1.requested", { ...both, backup: second, gcsBucket: exports, onward: { gcsBucket: onward } });
    await remove(exports, `${second}/manifest.json`);
    const doc = await world.ports.store.get(copyName(second, exports));
    if (doc !== undefined) await world.ports.store.commit([{ kind: "remove", path: doc.path }]);
    await world.clock.advance(8 * day * 1000);
    await ask("sweep.v1.requested", {});
    expect(await operations("retire")).toEqual([]);
  });

  it("outlives its backup", async () => {
    await twoCopies(1);
    await ask("deletion.v1.requested", { backup: nightly, grace: "0s" });
    await ask("sweep.v1.requested", {});
    expect(await read(nightly)).toBeUndefined();
    expect(await copyIn(exports)).toMatchObject({ backup: nightly });
    await world.clock.advance(7 * day * 1000);
    await ask("sweep.v1.requested", {});
    expect(await objectsOf(world, exports)).toEqual(filesOf(second));
  });

  it("under a hold is left whole and tried again later, which alarms nobody", async () => {
    await twoCopies(8);
    world.ports.objects.hold(exports, `${nightly}/manifest.json`);
    await ask("sweep.v1.requested", {});
    await ask("sweep.v1.requested", {});
    expect((await operations("retire")).map(({ error }) => error)).toMatchObject([
      {
        code: "FAILED_PRECONDITION",
        message: expect.stringMatching(/keeps 1 objects .*; tried again after 2026-01-10/),
      },
    ]);
    expect(await objectsOf(world, exports)).toEqual([...filesOf(nightly), ...filesOf(second)]);
    expect(world.events.messages.filter(({ type }) => type === "operation.v1.failed")).toEqual([]);
    world.ports.objects.release(exports, `${nightly}/manifest.json`);
    await world.clock.advance(day * 1000);
    await ask("sweep.v1.requested", {});
    expect(await objectsOf(world, exports)).toEqual(filesOf(second));
  });

  it.each<[string, () => Promise<void>]>([
    ["has lost its manifest", () => remove(exports, `${second}/manifest.json`)],
    [
      "has another manifest",
      async () => {
        await remove(exports, `${second}/manifest.json`);
        await world.ports.objects.create(exports, `${second}/manifest.json`, once(Buffer.from("{}")), {});
      },
    ],
    [
      "is being erased itself",
      () => change<BackupCopy>(world, copyName(second, exports), { retireStartTime: "2026-01-01T00:00:00.000Z" }),
    ],
  ])("stays, and is looked at a day later, where the newer one %s", async (_name, spoil) => {
    await twoCopies(8);
    await spoil();
    await ask("sweep.v1.requested", {});
    await ask("sweep.v1.requested", {});
    expect(await objectsOf(world, exports)).toEqual(expect.arrayContaining(filesOf(nightly)));
    expect((await operations("retire")).map(({ error, response }) => ({ error, response }))).toEqual([
      { error: undefined, response: { backup: nightly, gcsBucket: exports, deferredUntil: expect.any(String) } },
    ]);
    expect(await copyIn(exports)).not.toHaveProperty("retireStartTime");
  });

  it("that was put off, and that another sweep began to erase meanwhile, stays on record until that is done", async () => {
    await twoCopies(8);
    await remove(exports, `${second}/manifest.json`);
    const { store } = world.ports;
    const { get } = store;
    const path = copyName(nightly, exports);
    store.get = async <T>(of: string) => {
      const found = await get<T>(of);
      const isPutOff = of === path && (found?.data as BackupCopy | undefined)?.deferredUntil !== undefined;
      store.get = isPutOff ? get : store.get;
      if (isPutOff) await change<BackupCopy>(world, path, { retireStartTime: timeOf(world.clock.now()) });
      return found;
    };
    await ask("sweep.v1.requested", {});
    expect(await copyIn(exports)).toHaveProperty("retireStartTime");
    expect(await objectsOf(world, exports)).toEqual(expect.arrayContaining(filesOf(nightly)));
    expect(world.events.messages.filter(({ type }) => type === "copy.v1.deleted")).toEqual([]);
  });

  it("of which somebody replaced a file keeps that file", async () => {
    await twoCopies(8);
    const metadata = { operation: (await copyIn(exports))?.operation ?? "" };
    await remove(exports, `${nightly}/0.rdb`);
    await world.ports.objects.create(exports, `${nightly}/0.rdb`, once(Buffer.from("mine")), metadata);
    await ask("sweep.v1.requested", {});
    expect(await objectsOf(world, exports)).toEqual([`${nightly}/0.rdb`, ...filesOf(second)]);
    expect(await copyIn(exports)).toBeUndefined();
  });

  it("whose file does not carry our metadata keeps that file, whatever its generation", async () => {
    await twoCopies(8);
    const mine = await world.ports.objects.create(exports, "theirs", once(Buffer.from("mine")), {});
    const copy = await copyIn(exports);
    await change<BackupCopy>(world, copyName(nightly, exports), { objects: [mine, ...(copy?.objects ?? [])] });
    await ask("sweep.v1.requested", {});
    expect(await objectsOf(world, exports)).toEqual([...filesOf(second), "theirs"]);
  });

  it("in a bucket that its owner deleted is forgotten", async () => {
    await twoCopies(8);
    world.ports.objects.describe = async (bucket) => {
      throw new StatusError("NOT_FOUND", `bucket ${bucket} does not exist`);
    };
    world.ports.objects.stat = async (bucket) => {
      throw new StatusError("UNAVAILABLE", `bucket ${bucket} does not exist`);
    };
    await ask("sweep.v1.requested", {});
    expect((await operations("retire")).map(({ error }) => error)).toEqual([undefined]);
    expect(await copyIn(exports)).toBeUndefined();
  });

  it("is found behind any number that must stay, and a sweep takes a hundred at most", async () => {
    const expired = (collection: string, backupId: string, expireTime: string): BackupCopy => {
      const backup = `backupCollections/${collection}/backups/${backupId}`;
      const times = { backupCreateTime: `2025-01-01T00:00:00.${backupId}Z`, createTime: expireTime, expireTime };
      return {
        ...{ name: copyName(backup, exports), backup, collection: `backupCollections/${collection}`, ...times },
        ...{ gcsBucket: exports, location: "asia-northeast1", operation: "operations/backup-1" },
        ...{ totalSizeBytes: 0, objects: [] },
      };
    };
    const lone = Array.from({ length: 250 }, (_, n) => expired(`lone-${n}`, "000", "2025-02-01T00:00:00.000Z"));
    const many = Array.from({ length: 102 }, (_, n) => expired("many", String(100 + n), "2025-03-01T00:00:00.000Z"));
    const newest = backupName("many", "201");
    const manifest = await world.ports.objects.create(exports, `${newest}/manifest.json`, once(Buffer.from("{}")), {});
    for (const data of many) data.objects = [manifest];
    for (const data of [...lone, ...many]) await world.ports.store.commit([{ kind: "create", path: data.name, data }]);
    const left = async () => (await world.ports.store.query({ collection: "copies", group: true })).length;
    await ask("sweep.v1.requested", {});
    expect(await left()).toBe(252);
    await ask("sweep.v1.requested", {});
    expect(await left()).toBe(251);
    expect(await copyIn(exports, "backupCollections/many/backups/201")).toBeDefined();
  });

  it("that is exported again lives as long as the longer of both asked", async () => {
    await twoCopies(0);
    await ask("export.v1.requested", { backup: nightly, gcsBucket: exports, retention: "30d" });
    expect((await operations("export")).map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    await world.clock.advance(8 * day * 1000);
    await ask("sweep.v1.requested", {});
    expect(await operations("retire")).toEqual([]);
  });

  it("that nobody remembers is found by another export: nothing is copied twice", async () => {
    await twoCopies(0);
    const before = await copyIn(exports);
    const doc = await world.ports.store.get(copyName(nightly, exports));
    await world.ports.store.commit([{ kind: "remove", path: doc?.path ?? "" }]);
    await ask("export.v1.requested", { backup: nightly, gcsBucket: exports });
    expect((await copyIn(exports))?.objects).toEqual(before?.objects);
  });

  it("that is being erased is not exported to", async () => {
    await twoCopies(8);
    const retireStartTime = timeOf(world.clock.now());
    await change<BackupCopy>(world, copyName(nightly, exports), { retireStartTime });
    await ask("export.v1.requested", { backup: nightly, gcsBucket: exports });
    expect((await operations("export")).at(-1)?.error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/it is being erased since 2026-01-09.*export again once it is gone/),
    });
  });

  it("that is erased while it is exported again is copied anew", async () => {
    await twoCopies(8);
    const { stat } = world.ports.objects;
    let isErased = false;
    world.ports.objects.stat = async (bucket, object) => {
      const found = await stat(bucket, object);
      if (bucket === exports && object === `${nightly}/0.rdb` && !isErased) {
        isErased = true;
        for (const file of filesOf(nightly)) await remove(exports, file);
        await world.ports.store.commit([{ kind: "remove", path: copyName(nightly, exports) }]);
      }
      return found;
    };
    await ask("export.v1.requested", { backup: nightly, gcsBucket: exports });
    expect((await operations("export")).at(-1)?.error).toBeUndefined();
    expect(await objectsOf(world, exports)).toEqual([...filesOf(nightly), ...filesOf(second)]);
    for (const { object, generation } of (await copyIn(exports))?.objects ?? [])
      expect(await stat(exports, object)).toMatchObject({ generation });
  });
});
