import { beforeEach, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { backupName } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import { deferralOf, latest } from "../../shared/pipeline/deferral.ts";
import type { ObjectInfo } from "../../shared/pipeline/ports.ts";
import { valkeepOn } from "../cli/terminal.ts";
import { registered } from "./registered.ts";
import { operationsOf, requested } from "./requested.ts";
import { vault, type World } from "./world.ts";

const day = 86_400_000;
const nightly = backupName("orders", "nightly");
let world: World;

beforeEach(async () => {
  world = await registered();
  await ask("backup.v1.requested", { instance: "orders", backupId: "nightly" });
});

const ask = <T extends EventType>(type: T, data: EventMap[T]) => requested(world, type, data);
const sweep = () => ask("sweep.v1.requested", {});
const stored = async (): Promise<Backup | undefined> => (await world.ports.store.get<Backup>(nightly))?.data;
const erasures = () => operationsOf(world, "erase");
const alarms = () => world.events.messages.filter(({ type }) => type === "operation.v1.failed");
const dryRun = async () => (await valkeepOn(world, "sweep --dry-run")).stdout;

describe("an erasure that a retention policy blocks", () => {
  beforeEach(async () => {
    world.ports.objects.retain(vault, 10 * 86_400);
    await ask("deletion.v1.requested", { backup: nightly, grace: "0s" });
    await sweep();
  });

  it("ends well, says until when, and alarms nobody", async () => {
    const { createTime = "" } = (await world.ports.objects.stat(vault, `${nightly}/manifest.json`)) ?? {};
    const until = new Date(Date.parse(createTime) + 10 * day).toISOString();
    expect(await erasures()).toMatchObject([
      { done: true, response: { backup: nightly, deferredUntil: until, deferredBy: "RETENTION_POLICY" } },
    ]);
    expect((await erasures())[0]?.error).toBeUndefined();
    expect(await stored()).toMatchObject({ state: "DELETING", deferredUntil: until });
    expect(alarms()).toEqual([]);
  });

  it("is shown as DEFERRED with its date and reason, and not asked for again before", async () => {
    await world.clock.advance(5 * day);
    expect(await dryRun()).toMatch(
      /orders\/nightly +DEFERRED +deleted, its bucket's retention policy keeps it until 2026-01-11T.*; it can be undeleted until then/,
    );
    await sweep();
    expect(await erasures()).toHaveLength(1);
  });

  it("can be undone until then: everything is back", async () => {
    await world.clock.advance(5 * day);
    await ask("undelete.v1.requested", { backup: nightly });
    const found = await stored();
    expect(found).toMatchObject({ state: "ACTIVE" });
    expect([found?.deferredUntil, found?.deferredBy, found?.purgeTime]).toEqual([undefined, undefined, undefined]);
  });

  it("is done by the first sweep after the date", async () => {
    await world.clock.advance(10 * day);
    await sweep();
    expect(await stored()).toBeUndefined();
    expect(await world.ports.objects.stat(vault, `${nightly}/0.rdb`)).toBeUndefined();
  });
});

describe("an erasure that a hold of somebody else's blocks", () => {
  beforeEach(async () => {
    world.ports.objects.hold(vault, `${nightly}/0.rdb`);
    await ask("deletion.v1.requested", { backup: nightly, grace: "0s" });
    await sweep();
  });

  it("is looked at again a day later, and touches nothing until then", async () => {
    expect(await dryRun()).toMatch(
      /orders\/nightly +DEFERRED +deleted, a hold on its files keeps it; .* again at 2026-01-02/,
    );
    expect(await world.ports.objects.stat(vault, `${nightly}/manifest.json`)).toBeDefined();
    expect(alarms()).toEqual([]);
  });

  it("is done once the hold is gone", async () => {
    world.ports.objects.release(vault, `${nightly}/0.rdb`);
    await world.clock.advance(day);
    await sweep();
    expect(await stored()).toBeUndefined();
  });

  it("is put off again while it stays", async () => {
    await world.clock.advance(day);
    await sweep();
    expect((await stored())?.deferredUntil).toMatch(/^2026-01-03/);
  });
});

it("a hold that comes after erasing has begun defers it, and it can no longer be undeleted", async () => {
  await ask("deletion.v1.requested", { backup: nightly, grace: "0s" });
  const { objects } = world.ports;
  const { remove } = objects;
  objects.remove = async (of) => {
    objects.hold(vault, `${nightly}/0.rdb`);
    await remove(of);
  };
  await sweep();
  expect(await stored()).toMatchObject({ state: "DELETING", deferredBy: "HOLD", purgeStartTime: expect.any(String) });
  expect(await dryRun()).not.toContain("can be undeleted");
  objects.release(vault, `${nightly}/0.rdb`);
  objects.remove = remove;
  await world.clock.advance(day);
  await sweep();
  expect(await stored()).toBeUndefined();
});

it("what a failed backup left and the bucket keeps is asked for again at its date, once, without an alarm", async () => {
  world.ports.objects.retain(vault, 600);
  const { snapshot } = world.valkey;
  world.valkey.start("127.0.0.1:7001", 2);
  world.valkey.snapshot = async function* (instance, task, signal) {
    if (task.shard === 1) throw new StatusError("PERMISSION_DENIED", "no");
    yield* snapshot(instance, task, signal);
  };
  await ask("backup.v1.requested", { instance: "orders", backupId: "half" });
  const ended = await erasures();
  expect(ended.filter(({ done, error }) => !done || error !== undefined)).toEqual([]);
  expect(ended.filter(({ response }) => response?.deferredBy === "RETENTION_POLICY")).toHaveLength(1);
  expect(ended).toHaveLength(3); // at once, at the date, and the second look an hour later
  const left: string[] = [];
  for await (const { object } of world.ports.objects.list(vault, backupName("orders", "half"))) left.push(object);
  expect(left).toEqual([]);
  expect(alarms()).toHaveLength(1);
});

describe("what keeps an object", () => {
  const now = "2026-11-21T12:00:00.000Z";
  const info = (fields: Partial<ObjectInfo>): ObjectInfo => ({
    ...{ bucket: "b", object: "o", generation: "1", sizeBytes: 1, crc32c: "", createTime: now, metadata: {} },
    ...fields,
  });
  it.each<[string, Partial<ObjectInfo>, unknown]>([
    ["nothing", {}, undefined],
    ["a retention that is over", { retentionExpirationTime: now }, undefined],
    ["a retention", { retentionExpirationTime: "2026-11-22T00:00:00.000Z" }, ["RETENTION_POLICY", "2026-11-22T00"]],
    ["a hold", { isHeld: true }, ["HOLD", "2026-11-22T12"]],
    [
      "a hold and a longer retention",
      { isHeld: true, retentionExpirationTime: "2027-01-01T00:00:00.000Z" },
      ["RETENTION_POLICY", "2027-01-01T00"],
    ],
  ])("is told: %s", (_name, fields, wanted) => {
    const found = deferralOf(info(fields), now);
    expect(found && [found.by, found.until.slice(0, 13)]).toEqual(wanted);
  });
  it("of several is the one that ends last", () => {
    const [a, b] = ["2026-01-01", "2026-01-02"].map((until) => ({ until, by: "HOLD" as const }));
    expect([latest(a, b), latest(b, a), latest(a, undefined), latest(undefined, b)]).toEqual([b, b, a, b]);
  });
});

describe("an erasure", () => {
  /** The objects whose removal is asked for, in their order; removing one that `isKept` is refused. */
  function removals(isKept: (object: string) => boolean = () => false): string[] {
    const { objects } = world.ports;
    const { remove } = objects;
    const asked: string[] = [];
    objects.remove = async (found) => {
      asked.push(found.object);
      if (isKept(found.object)) throw new StatusError("FAILED_PRECONDITION", "a hold keeps it");
      await remove(found);
    };
    return asked;
  }

  it("takes the manifest first: without it what is left counts no more", async () => {
    const asked = removals();
    await ask("deletion.v1.requested", { backup: nightly, grace: "0s" });
    await sweep();
    expect(asked).toEqual([`${nightly}/manifest.json`, `${nightly}/0.rdb`]);
  });

  it("leaves the files while the manifest, which names them, is kept", async () => {
    const asked = removals((object) => object.endsWith("manifest.json"));
    await ask("deletion.v1.requested", { backup: nightly, grace: "0s" });
    await sweep();
    expect(asked).toEqual([`${nightly}/manifest.json`]);
    expect(await stored()).toMatchObject({ state: "DELETING", deferredBy: "HOLD" });
  });
});
