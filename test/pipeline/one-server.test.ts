import { beforeEach, describe, expect, it } from "vitest";
import type { Backup, Instance } from "../../shared/backup/backup.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { backupName, serverNames } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import type { MemoryServer } from "../../shared/memory/valkey.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { log, preamble } from "../aof/files.ts";
import { change } from "./change.ts";
import { askKeys, patternIn, undo } from "./live.ts";
import { fill, register } from "./registered.ts";
import { begun, first, operationsOf, requested } from "./requested.ts";
import { createWorld, inbox, instanceOf, vault, type World } from "./world.ts";

/** `copy` and `twin` lead to one server by two addresses. */
const [copyEndpoint, twinEndpoint] = ["127.0.0.1:7002", "localhost:7002"];
const nightly = backupName("orders", "nightly");

let world: World;
let target: MemoryServer;

beforeEach(async () => {
  world = createWorld();
  fill(world.valkey.start("127.0.0.1:7001"), 12);
  target = world.valkey.start(copyEndpoint);
  world.valkey.alias(twinEndpoint, target);
  const [copy, twin] = [instanceOf("copy", copyEndpoint), instanceOf("twin", twinEndpoint)];
  await register(world, instanceOf("orders", "127.0.0.1:7001"), copy, twin);
  await requested(world, "backup.v1.requested", { instance: "orders", backupId: "nightly" });
});

const restore = async (instance: string): Promise<Operation | undefined> =>
  await first(world, "restore.v1.requested", { instance, backup: nightly });

/** What an Operation of `twin` is told while another one writes to the server of `copy`. */
const refusedBy = (writer: Operation | undefined) => ({
  code: "FAILED_PRECONDITION",
  message: `instances/twin is being restored by ${writer?.name} under another name: one restore at a time; wait for it or cancel it`,
});

/** Everything that is taken for as long as somebody writes. */
const taken = () => Object.keys(world.ports.store.all()).filter((path) => /^(endpoints|servers)\//.test(path));

describe("one server behind two addresses", () => {
  it("is not restored into by both at once", async () => {
    const writer = await restore("copy");
    expect(writer?.done).toBe(false);
    expect((await restore("twin"))?.error).toEqual(refusedBy(writer));
    await world.settle();
    expect(target.shards[0]?.size).toBe(12);
    expect((await world.ports.store.get<Operation>(writer?.name ?? ""))?.data.error).toBeUndefined();
    expect(taken()).toEqual([]);
  });

  it("is restored into by one of two that are admitted at the same moment", async () => {
    for (const instance of ["copy", "twin"])
      await world.events.publish({ type: "restore.v1.requested", data: { instance, backup: nightly }, attributes: {} });
    await Promise.all(world.events.take().map((message) => world.deliver(message)));
    await world.settle();
    const errors = (await operationsOf(world, "restore")).map(({ error }) => error?.message);
    expect(errors.filter((message) => message === undefined)).toHaveLength(1);
    expect(errors.find((message) => message !== undefined)).toMatch(/under another name/);
    expect(taken()).toEqual([]);
  });

  it("is refused to files from a bucket, to a dry run and to the inbox, too", async () => {
    const writer = await restore("copy");
    const uris = [`gs://${vault}/${nightly}/0.rdb`];
    const files = await first(world, "restore.v1.requested", { instance: "twin", gcsSourceUris: uris });
    expect(files?.error).toEqual(refusedBy(writer));
    const dry = await first(world, "restore.v1.requested", { instance: "twin", backup: nightly, dryRun: true });
    expect(dry?.error).toEqual(refusedBy(writer));
    const object = "twin/a.rdb";
    const { generation } = await world.ports.objects.create(inbox, object, once(preamble(1)), {});
    const landed = await first(world, "object.v1.finalized", { bucket: inbox, object, generation });
    expect(landed?.error).toEqual(refusedBy(writer));
  });

  it("is refused to single keys, and to their undo, while it is restored into", async () => {
    const merged = await askKeys(world, "key-*", { instance: "twin", execute: true });
    expect([merged.error, target.shards[0]?.size]).toEqual([undefined, 12]);
    target.shards[0]?.clear();
    const writer = await restore("copy");
    const selection = await patternIn(world, "key-*");
    for (const execute of [true, false]) {
      const data = { instance: "twin", backup: nightly, selection, execute };
      expect((await first(world, "selection.v1.requested", data))?.error).toEqual(refusedBy(writer));
      expect((await first(world, "undo.v1.requested", { restore: merged.name, execute }))?.error).toEqual(
        refusedBy(writer),
      );
    }
    await world.settle();
    expect((await undo(world, merged)).response).toMatchObject({ deleted: 12 });
    expect(taken()).toEqual([]);
  });

  it("is refused to a restore while single keys are written into it", async () => {
    const data = { instance: "copy", backup: nightly, selection: await patternIn(world, "key-*"), execute: true };
    const writer = await first(world, "selection.v1.requested", data);
    expect(writer?.done).toBe(false);
    expect((await restore("twin"))?.error).toEqual(refusedBy(writer));
  });

  it("lets its keys expire again after an AOF was given up only once the restore of the other is through", async () => {
    await world.ports.objects.create(inbox, "dir/a.aof", once(Buffer.concat([preamble(3), log("INCR n")])), {});
    const given = await first(world, "restore.v1.requested", {
      instance: "copy",
      gcsSourceUris: [`gs://${inbox}/dir/a.aof`],
    });
    await endOperation(world.ports, given?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    const abandoning = world.events.take();
    expect(abandoning.map(({ type }) => type)).toContain("replay.v1.requested");
    const writer = await restore("twin");
    expect(writer?.done).toBe(false);
    let isFree = false;
    const ended: boolean[] = [];
    const { endReplay } = world.ports.valkey;
    world.ports.valkey.endReplay = async (...args) => {
      isFree = (await world.ports.store.get<Operation>(writer?.name ?? ""))?.data.done === true;
      ended.push(isFree);
      await endReplay(...args);
    };
    for (const message of abandoning) await world.deliver(message);
    await world.settle();
    await world.clock.advance(120_000);
    await world.settle();
    expect(ended).toEqual([true]);
    expect(taken()).toEqual([]);
  });

  it("is free again once its restore was cancelled", async () => {
    const writer = await restore("copy");
    await endOperation(world.ports, writer?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    expect((await begun(world, "restore.v1.requested", { instance: "twin", backup: nightly })).error).toBeUndefined();
  });

  it("is as free where its checks have refused a restore", async () => {
    fill(target, 1);
    expect((await restore("copy"))?.error?.message).toMatch(/holds/);
    expect(taken()).toEqual([]);
  });
});

describe("one server that is registered twice", () => {
  const collections = async () => await world.ports.store.query<Backup>({ collection: "backups", group: true });
  const backUp = async (instance: string): Promise<Operation | undefined> =>
    await first(world, "backup.v1.requested", { instance, backupId: "half" });

  it.each([
    ["with two addresses", twinEndpoint, "twin", " under another name"],
    ["with one address", copyEndpoint, "copy", ""],
  ])("%s is not restored into while it is backed up by the other name", async (_, endpoint, read, how) => {
    await change<Instance>(world, "instances/twin", { endpoint });
    const reader = await backUp("copy");
    expect(reader?.done).toBe(false);
    expect((await restore("twin"))?.error).toEqual({
      code: "FAILED_PRECONDITION",
      message: `instances/${read} is being backed up by ${reader?.name}${how}: it is restored once that is over; wait for it or cancel it`,
    });
    await endOperation(world.ports, reader?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    expect(taken()).toEqual([]);
    expect((await begun(world, "restore.v1.requested", { instance: "twin", backup: nightly })).error).toBeUndefined();
  });

  it("is not backed up while it is restored into by the other name, and no half of it becomes a backup", async () => {
    const writer = await restore("copy");
    expect((await backUp("twin"))?.error).toEqual({
      code: "FAILED_PRECONDITION",
      message: `instances/twin is being restored by ${writer?.name} under another name: ask again once that is over`,
    });
    await world.settle();
    expect((await collections()).map(({ path }) => path)).toEqual([nightly]);
    expect((await begun(world, "backup.v1.requested", { instance: "twin", backupId: "whole" })).error).toBeUndefined();
    expect(taken()).toEqual([]);
  });

  it("is either backed up or restored into where both are asked for at the same moment", async () => {
    const requests = {
      "backup.v1.requested": { instance: "copy" },
      "restore.v1.requested": { instance: "twin", backup: nightly },
    };
    for (const [type, data] of Object.entries(requests))
      await world.events.publish({ type: type as EventType, data, attributes: {} });
    await Promise.all(world.events.take().map((message) => world.deliver(message)));
    const errors = (await operationsOf(world)).map(({ error }) => error?.message);
    expect(errors.filter((message) => message?.includes("under another name"))).toHaveLength(1);
  });

  it("is backed up by both names at once", async () => {
    const readers = [await backUp("copy"), await backUp("twin")];
    expect(readers.map((reader) => reader?.error)).toEqual([undefined, undefined]);
    await endOperation(world.ports, readers[0]?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
    expect((await restore("orders"))?.error?.message).toMatch(/holds 12 keys/);
    expect((await restore("copy"))?.error?.message).toMatch(/backed up by .* under another name/);
    await world.settle();
    expect((await collections()).map(({ data }) => data.state)).toEqual(["ACTIVE", "ACTIVE"]);
    expect(taken()).toEqual([]);
  });
});

it("a cluster is known by any node of those that it was known by", async () => {
  const shard = { runId: "run", databases: {}, expiredKeys: 0, node: "a" };
  const answers = { mode: "CLUSTER" as const, shards: [{ ...shard, endpoint: copyEndpoint }], ids: ["a", "b"] };
  target.answers = answers;
  for (const name of ["instances/copy", "instances/twin"]) await change<Instance>(world, name, { mode: "CLUSTER" });
  const writer = await restore("copy");
  target.answers = { ...answers, ids: ["b", "c"] };
  expect((await restore("twin"))?.error).toEqual(refusedBy(writer));
});

it("a server is not known by what makes no document's name", () => {
  const ids = ["3f9a", "10.0.0.5:6379", "[fe80::1]:6379", "", ":6379", "..", "a/b", "__x__", "[fe80::1%eth0]:6379"];
  expect(serverNames(ids)).toEqual(["3f9a", "10.0.0.5:6379", "[fe80::1]:6379"].map((id) => `servers/${id}`));
});
