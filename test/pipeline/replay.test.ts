import { describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import type { MemoryServer } from "../../shared/memory/valkey.ts";
import { keyName } from "../../shared/memory/valkey.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import type { Replayer } from "../../shared/pipeline/ports.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { log, preamble } from "../aof/files.ts";
import { change } from "./change.ts";
import { registered } from "./registered.ts";
import { begun } from "./requested.ts";
import { inbox, instanceOf, type World } from "./world.ts";

const manifest = Buffer.from(
  "file a.aof.2.base.rdb seq 2 type b\nfile a.aof.1.incr.aof seq 1 type h\nfile a.aof.2.incr.aof seq 2 type i\nfile a.aof.3.incr.aof seq 3 type i\n",
);
const first = log("SELECT 0", "INCR n", "APPEND key-0 w", "SELECT 3", "SET other 1");
const second = log("INCR n", "MULTI", "DEL key-1", "INCR n", "EXEC");

/** A world with the empty instance `copy`, and these files in a folder of the inbox's bucket. */
async function withFiles(
  files: Record<string, Uint8Array>,
  target = instanceOf("copy", "127.0.0.1:7002"),
): Promise<World> {
  const world = await registered(target);
  for (const [name, bytes] of Object.entries(files))
    await world.ports.objects.create(inbox, `dir/${name}`, once(bytes), {});
  return world;
}

const wholeFolder = {
  "a.aof.2.base.rdb": preamble(3),
  "a.aof.2.incr.aof": first,
  "a.aof.3.incr.aof": second,
  "a.aof.manifest": manifest,
};

const restored = (world: World, names: string | string[], more: object = {}): Promise<Operation> =>
  begun(world, "restore.v1.requested", {
    instance: "copy",
    gcsSourceUris: [names].flat().map((name) => `gs://${inbox}/dir/${name}`),
    ...more,
  });

/** What the target holds, by database and key. */
function holdings(world: World): Record<string, string> {
  const [shard] = (world.valkey.servers.get("127.0.0.1:7002") as MemoryServer).shards;
  return Object.fromEntries(
    [...(shard ?? [])].map(([name, { value }]) => {
      const [db, hex = ""] = name.split(":");
      return [`${db} ${Buffer.from(hex, "hex")}`, Buffer.from(value.subarray(1)).toString()];
    }),
  );
}

const replayCheck = ({ checks = [] }: Operation) => checks.find(({ name }) => name === "replay");

describe("a restore of an AOF", () => {
  it("loads the base and replays the increments in their order, and leaves no mark", async () => {
    const world = await withFiles(wholeFolder);
    const { error, response } = await restored(world, "a.aof.manifest");
    expect(error).toBeUndefined();
    expect(holdings(world)).toEqual({ "0 key-0": "vw", "0 key-2": "v", "0 n": "3", "3 other": "1" });
    const sizeBytes = preamble(3).length + first.length + second.length;
    expect(response).toEqual({ instance: "instances/copy", keys: 4, commands: 6, tornBytes: 0, sizeBytes });
    expect(world.events.messages.map(({ type }) => type)).toContain("instance.v1.restored");
  });

  it.each([
    [
      "with a preamble",
      Buffer.concat([preamble(3), first]),
      { "0 key-0": "vw", "0 key-1": "v", "0 key-2": "v", "0 n": "1", "3 other": "1" },
    ],
    ["without one", first, { "0 key-0": "w", "0 n": "1", "3 other": "1" }],
  ])("takes a single file %s, whatever its name", async (_, file, wanted) => {
    const world = await withFiles({ "appendonly.bin": file });
    expect((await restored(world, "appendonly.bin")).error).toBeUndefined();
    expect(holdings(world)).toEqual(wanted);
  });

  it("loads an AOF in parts where its base is large enough to be cut", async () => {
    const world = await withFiles({ "a.aof": Buffer.concat([preamble(2_000), first]) });
    Object.assign(world.ports.settings, { borderBytes: 4_096 });
    const { error, plan } = await restored(world, "a.aof");
    expect(error).toBeUndefined();
    expect(plan?.parts.length).toBeGreaterThan(1);
    expect(Object.keys(holdings(world))).toHaveLength(2_002);
  });

  it("takes a base whose server has written nothing since for the RDB file that it is", async () => {
    const world = await withFiles({
      ...wholeFolder,
      "a.aof.2.incr.aof": Buffer.alloc(0),
      "a.aof.3.incr.aof": Buffer.alloc(0),
    });
    const { error, response, plan } = await restored(world, "a.aof.manifest");
    expect([error, response?.keys, plan?.replays]).toEqual([undefined, 3, undefined]);
  });

  it("loads up to the last whole command, warns before it begins, and says afterwards what it left out", async () => {
    const torn = second.subarray(0, -5);
    const world = await withFiles({ ...wholeFolder, "a.aof.3.incr.aof": torn });
    const operation = await restored(world, "a.aof.manifest");
    expect(operation.error).toBeUndefined();
    expect(holdings(world)).toMatchObject({ "0 n": "2", "0 key-1": "v" });
    const whole = log("INCR n").length;
    const message = `${torn.length - whole} bytes of gs://inbox/dir/a.aof.3.incr.aof, from byte ${whole} on, are no whole command and are left out`;
    expect(replayCheck(operation)).toMatchObject({ result: "WARN", message: expect.stringContaining(message) });
    expect(operation.response).toMatchObject({ tornBytes: torn.length - whole, torn: message, commands: 4 });
  });

  it("refuses a torn tail where it was asked to, before anything is touched", async () => {
    const world = await withFiles({ "a.aof": first.subarray(0, -1) });
    const { error } = await restored(world, "a.aof", { strict: true });
    expect(error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/are left out: --strict refuses that$/),
    });
    expect(holdings(world)).toEqual({});
  });

  it.each([
    [
      "a command that no server writes",
      { "a.aof": log("SET a 1", "CONFIG SET dir /etc") },
      /holds CONFIG at byte 27, which no restore sends/,
    ],
    ["nothing", { "a.aof": log("SET a 1").subarray(0, -1) }, /no whole command/],
    ["a database that the target lacks", { "a.aof": log("SELECT 16", "SET a 1") }, /database 16, the target has 16/],
  ])("refuses an AOF of %s before anything is sent", async (_, files, message) => {
    const world = await withFiles(files);
    const { error } = await restored(world, "a.aof");
    expect(error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringMatching(message) });
    expect(holdings(world)).toEqual({});
  });

  it("refuses commands for a cluster, and lets a base alone go there", async () => {
    const target: Instance = { ...instanceOf("copy", "127.0.0.1:7002"), mode: "CLUSTER" };
    const world = await withFiles(
      { "a.aof": Buffer.concat([preamble(3), log("SET a 1")]), "b.aof": preamble(3) },
      target,
    );
    Object.assign(world.valkey.servers.get("127.0.0.1:7002") ?? {}, { answers: { mode: "CLUSTER" } });
    expect((await restored(world, "a.aof")).error?.message).toMatch(/cannot span the slots of a cluster/);
    expect((await restored(world, "b.aof")).error).toBeUndefined();
  });

  it("fails, before anything is loaded, where the target could suspend expiry and lets nobody", async () => {
    const world = await withFiles({ "a.aof": Buffer.concat([preamble(3), log("SET a 1")]) });
    Object.assign(world.valkey.servers.get("127.0.0.1:7002") ?? {}, { answers: { suspendsExpiry: true } });
    const { beginReplay } = world.ports.valkey;
    world.ports.valkey.beginReplay = async (...args) => {
      await beginReplay(...args);
      return false;
    };
    const { error } = await restored(world, "a.aof");
    expect(error).toMatchObject({ code: "PERMISSION_DENIED", message: expect.stringContaining("+config|set") });
    expect(holdings(world)).toEqual({});
  });

  it("warns that keys may be lost where the target cannot suspend expiry", async () => {
    const world = await withFiles({ "a.aof": log("SET a 1", "PEXPIREAT a 1700000000000") });
    const server = world.valkey.servers.get("127.0.0.1:7002");
    Object.assign(server?.answers ?? {}, { suspendsExpiry: undefined });
    expect(replayCheck(await restored(world, "a.aof", { dryRun: true }))).toMatchObject({
      result: "WARN",
      message: expect.stringContaining("cannot suspend expiry"),
    });
  });

  it.each([
    ["a file of the manifest is missing", { "a.aof.manifest": manifest }, "a.aof.manifest", "NOT_FOUND"],
    [
      "the manifest names no file that counts",
      { "a.aof.manifest": Buffer.from("file a seq 1 type h\n") },
      "a.aof.manifest",
      "FAILED_PRECONDITION",
    ],
    ["the manifest is damaged", { "a.aof.manifest": Buffer.from("file\n") }, "a.aof.manifest", "DATA_LOSS"],
    [
      "an earlier file is torn",
      { ...wholeFolder, "a.aof.2.incr.aof": first.subarray(0, -1) },
      "a.aof.manifest",
      "DATA_LOSS",
    ],
    ["a file is damaged", { "a.aof": Buffer.concat([first, Buffer.from("\0"), first]) }, "a.aof", "DATA_LOSS"],
    [
      "another file is named beside it",
      { "a.aof": first, "b.rdb": preamble() },
      ["a.aof", "b.rdb"],
      "FAILED_PRECONDITION",
    ],
    [
      "another file is named beside the manifest",
      wholeFolder,
      ["a.aof.manifest", "a.aof.2.base.rdb"],
      "FAILED_PRECONDITION",
    ],
  ])("is refused if %s, and nothing is touched", async (_, files, names, code) => {
    const world = await withFiles(files as Record<string, Uint8Array>);
    expect((await restored(world, names)).error?.code).toBe(code);
    expect(holdings(world)).toEqual({});
  });

  it.each([
    true,
    undefined,
  ])("keeps keys of the base whose time has passed until its commands are through: %s", async (suspendsExpiry) => {
    const value = Uint8Array.from(encodeString("v"));
    const key = { kind: "record", db: 0, key: Buffer.from("session"), type: 0, value, expireTimeMs: 1_000 } as const;
    const base = writeRdb({ magic: "REDIS", rdbVersion: 11 }, [key]);
    const world = await withFiles({ "a.aof": Buffer.concat([base, log("APPEND session w")]) });
    Object.assign(world.valkey.servers.get("127.0.0.1:7002")?.answers ?? {}, { suspendsExpiry });
    expect((await restored(world, "a.aof")).error).toBeUndefined();
    expect(holdings(world)).toEqual({ "0 session": suspendsExpiry ? "vw" : "w" });
  });

  it("takes as many deliveries as it takes, as long as each carries something out", async () => {
    const increments = Array.from({ length: 15 }, (_, n) => `a.aof.${n + 1}.incr.aof`);
    const lines = increments.map((name, n) => `file ${name} seq ${n + 1} type i\n`);
    const world = await withFiles({
      "a.aof.1.base.rdb": preamble(1),
      "a.aof.manifest": Buffer.from(`file a.aof.1.base.rdb seq 1 type b\n${lines.join("")}`),
      ...Object.fromEntries(increments.map((name) => [name, log("INCR n")])),
    });
    const { replay } = world.ports.valkey;
    let deliveries = 0;
    world.ports.valkey.replay = async (target, logs, options, signal) => {
      deliveries++;
      const isOver = new StatusError("DEADLINE_EXCEEDED", "it took too long");
      const onProgress: typeof options.onProgress = (mark) => {
        options.onProgress?.(mark);
        throw isOver;
      };
      await replay(target, logs, { ...options, onProgress }, signal).catch(async (error) => {
        await world.clock.sleep(5_000, signal); // a renewal of the lease keeps how far it came
        throw error;
      });
    };
    expect((await restored(world, "a.aof.manifest")).error).toBeUndefined();
    expect(deliveries).toBeGreaterThan(10);
    expect(holdings(world)).toEqual({ "0 key-0": "v", "0 n": "15" });
  });

  it("fails where the target has lost its mark, rather than replay anything twice", async () => {
    const world = await withFiles({ "a.aof": first });
    const server = world.valkey.servers.get("127.0.0.1:7002") as MemoryServer;
    const { beginReplay } = world.ports.valkey;
    world.ports.valkey.beginReplay = async (instance, replayer, signal) => {
      const isSuspended = await beginReplay(instance, replayer, signal);
      server.shards[0]?.delete(keyName(0, `valkeep:replay:${replayer.operation}`));
      return isSuspended;
    };
    expect((await restored(world, "a.aof")).error).toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining("mark"),
    });
    expect(holdings(world)).toEqual({});
  });

  it("cuts off in each of its messages whoever was at an earlier one", async () => {
    const world = await withFiles(wholeFolder);
    const { beginReplay, replay, endReplay } = world.ports.valkey;
    const epochs: number[] = [];
    const told = <T extends Replayer>(replayer: T): T => {
      epochs.push(replayer.epoch);
      return replayer;
    };
    Object.assign(world.ports.valkey, {
      beginReplay: (...[instance, replayer, signal]: Parameters<typeof beginReplay>) =>
        beginReplay(instance, told(replayer), signal),
      replay: (...[instance, logs, options, signal]: Parameters<typeof replay>) =>
        replay(instance, logs, told(options), signal),
      endReplay: (...[instance, replayer, signal]: Parameters<typeof endReplay>) =>
        endReplay(instance, told(replayer), signal),
    });
    await restored(world, "a.aof.manifest");
    expect(epochs).toHaveLength(3);
    expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
  });

  it.each([
    ["is cancelled", "load", new StatusError("CANCELLED", "by hand")],
    ["is cancelled while it replays", "replay", new StatusError("CANCELLED", "by hand")],
    ["fails while its base is loaded", "load", undefined],
    ["fails while it replays", "replay", undefined],
  ] as const)("that %s lets go of its target, where keys may expire again", async (_, at, cancelled) => {
    const world = await withFiles(wholeFolder);
    const { valkey } = world.ports;
    const ended: string[] = [];
    const { endReplay } = valkey;
    valkey.endReplay = async (instance, replayer, signal) => {
      await endReplay(instance, replayer, signal);
      ended.push(`operations/${replayer.operation}`);
    };
    Object.assign(valkey, {
      [at]: async (...[, , { operation }]: Parameters<typeof valkey.replay>) => {
        if (cancelled !== undefined) await endOperation(world.ports, `operations/${operation}`, cancelled, true);
        throw new StatusError("PERMISSION_DENIED", "not any more");
      },
    });
    const { name, error } = await restored(world, "a.aof.manifest");
    expect([error?.code, ended]).toEqual([cancelled?.code ?? "PERMISSION_DENIED", [name]]);
    expect(Object.keys(holdings(world)).filter((key) => key.includes("valkeep"))).toEqual([]);
    expect((await world.ports.store.get<Instance>("instances/copy"))?.data.restoring).toBeUndefined();
  });

  it("that was cancelled lets go of its target only once nobody else writes there", async () => {
    const world = await withFiles(wholeFolder);
    const { ports, clock } = world;
    const { endReplay } = ports.valkey;
    const other = newOperation("restore.v1.requested", { instance: "copy" }, "restore-other", timeOf(clock.now()));
    await ports.store.commit([{ kind: "create", path: other.name, data: other }]);
    let isFree = false;
    const ended: boolean[] = [];
    ports.valkey.endReplay = async (...args) => {
      ended.push(isFree);
      await endReplay(...args);
    };
    ports.valkey.replay = async (_, __, { operation }) => {
      await endOperation(ports, `operations/${operation}`, new StatusError("CANCELLED", "by hand"), true);
      await change<Instance>(world, "instances/copy", { restoring: other.name });
      void clock.sleep(200_000).then(async () => {
        isFree = true;
        await change<Operation>(world, other.name, { done: true });
      });
    };
    await restored(world, "a.aof.manifest");
    expect(ended).toEqual([true]);
  });

  it("takes commands of an earlier attempt that come late for no damage of its base", async () => {
    const world = await withFiles({ "a.aof": Buffer.concat([preamble(3), log("INCR n", "INCR n")]) });
    const { valkey } = world.ports;
    const { beginReplay, describe: plain } = valkey;
    let late: (() => Promise<void>) | undefined;
    valkey.beginReplay = async (instance, replayer, signal) => {
      late = async () => {
        const read = async function* () {
          yield log("INCR n");
        };
        const range = { startOffset: preamble(3).length, endOffset: preamble(3).length + log("INCR n").length };
        await valkey.replay(instance, [{ ...range, read }], { ...replayer, confirm: async () => undefined }, signal);
      };
      return await beginReplay(instance, replayer, signal);
    };
    valkey.describe = async (instance, signal) => {
      await late?.();
      late = undefined;
      return await plain(instance, signal);
    };
    expect((await restored(world, "a.aof")).error).toBeUndefined();
    expect(holdings(world)["0 n"]).toBe("2");
  });

  it("tells its target whether expiry has to be suspended yet", async () => {
    const told: (boolean | undefined)[] = [];
    for (const command of ["PEXPIREAT a 1700000000000", "SET b 1"]) {
      const world = await withFiles({ "a.aof": log("SET a 1", command) });
      world.ports.valkey.replay = async (_, __, { isSuspended }) => {
        told.push(isSuspended);
      };
      await restored(world, "a.aof");
    }
    expect(told).toEqual([true, false]);
  });

  it("fails where the base is not as it was loaded, before the first command", async () => {
    const world = await withFiles(wholeFolder);
    const { load } = world.ports.valkey;
    world.ports.valkey.load = async (...args) => {
      const result = await load(...args);
      world.valkey.servers.get("127.0.0.1:7002")?.shards[0]?.delete(keyName(0, "key-1"));
      return result;
    };
    const { error } = await restored(world, "a.aof.manifest");
    expect(error).toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining("is not as the base was loaded"),
    });
    expect(holdings(world)["0 n"]).toBeUndefined();
  });

  it("is asked for by an AOF that lands in the inbox, and not by one file of several", async () => {
    const world = await registered(instanceOf("copy", "127.0.0.1:7002"));
    for (const [object, code] of [
      ["copy/appendonly.aof.2.base.rdb", "FAILED_PRECONDITION"],
      ["copy/appendonly.aof.2.incr.aof", "FAILED_PRECONDITION"],
      ["copy/appendonly.aof", undefined],
    ] as const) {
      const { generation } = await world.ports.objects.create(inbox, object, once(first), {});
      const { error } = await begun(world, "object.v1.finalized", { bucket: inbox, object, generation });
      expect([object, error?.code]).toEqual([object, code]);
    }
    expect(holdings(world)).toMatchObject({ "0 n": "1" });
  });
});
