import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName, fileObject, manifestObject } from "../../shared/backup/name.ts";
import { StatusError } from "../../shared/error.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { until } from "../fixture/until.ts";
import { command, fillBulk, holdings } from "./data.ts";
import { assertAtRest, assertWhole, backupsOf, openStage, type Stage } from "./stage.ts";

/** What dies in the middle: the function host by SIGKILL, and the source. Everything goes on by itself, in real time. */
let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ isQuick: true });
});

afterAll(async () => await stage[Symbol.asyncDispose]());

/** A server behind a gate, registered by this id; 40 MB in it where asked. */
async function behindGate(id: string, isFilled: boolean) {
  const server = await stage.valkey();
  const gate = await stage.gate(server.endpoint);
  await stage.register(id, gate.endpoint);
  if (isFilled) await fillBulk(server.endpoint, 40);
  return { server, endpoint: server.endpoint, gate };
}

it("finishes a snapshot and a restore by itself after the function host was killed in the middle of both", {
  timeout: 240_000,
}, async () => {
  const source = await behindGate("orders", true);
  const target = await behindGate("copy", false);
  const [first, second] = [backupName("orders", "first"), backupName("orders", "second")];
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "first" });

  const halves = [source.gate.shut("down", 20e6), target.gate.shut("up", 20e6)];
  const taking = await stage.ask("backup.v1.requested", { instance: "orders", backupId: "second" });
  const restoring = await stage.ask("restore.v1.requested", { instance: "copy", backup: first });
  await Promise.all(halves);
  const pid = stage.stack.pids()["functions-load"];
  stage.stack.killFunctions();
  await until(async () => stage.stack.pids()["functions-load"] !== pid, "another function host");
  // What the dead one had on its way arrives late.
  source.gate.open();
  target.gate.open();
  const [taken, restored] = [await stage.ended(taking), await stage.ended(restoring)];

  expect(taken.error).toBeUndefined();
  expect(restored.error).toBeUndefined();
  const attempts = async (name: string) => Math.max(...(await stage.tasks(name)).map(({ attempt }) => attempt));
  expect([await attempts(taking), await attempts(restoring)]).toEqual([2, 2]);
  expect(await holdings(target.endpoint)).toEqual(await holdings(source.endpoint));
  const { backups } = await backupsOf(stage, "orders");
  expect(backups).toMatchObject([
    { name: first, state: "ACTIVE", verification: "CHECKED" },
    { name: second, state: "ACTIVE", verification: "CHECKED" },
  ]);
  for (const backup of backups) await assertWhole(stage, backup);
  await assertAtRest(stage);
});

it("leaves nothing of a snapshot whose source dies, and takes it once the source is back", {
  timeout: 240_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-source-"));
  try {
    const source = await stage.valkey({ directory });
    await fillBulk(source.endpoint, 40);
    await command(source.endpoint, "SAVE");
    const before = await holdings(source.endpoint);
    const gate = await stage.gate(source.endpoint);
    await stage.register("mortal", gate.endpoint);
    const good = await stage.done("backup.v1.requested", { instance: "mortal", backupId: "good" });
    expect(good.error).toBeUndefined();
    const untouched = await stage.document<Backup>(backupName("mortal", "good"));

    const half = gate.shut("down", 20e6);
    const taking = await stage.ask("backup.v1.requested", { instance: "mortal", backupId: "next" });
    await half;
    await source.kill();
    gate.open();
    const failed = await until(
      async () => (await stage.tasks(taking)).find(({ error }) => error !== undefined),
      "the failure of the first attempt",
    );
    expect(failed.error).toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining("ended early") });
    const vault = stage.stack.stack.storage.vaultBucket;
    expect(await stage.objects(vault, backupName("mortal", "next"))).toEqual([]);
    expect((await stage.document<Backup>(backupName("mortal", "next")))?.state).toBe("CREATING");

    await stage.valkey({ directory, port: source.port });
    expect((await stage.ended(taking)).error).toBeUndefined();
    expect(await holdings(source.endpoint)).toEqual(before);
    const { backups } = await backupsOf(stage, "mortal");
    expect(backups.map(({ name, state }) => `${name} ${state}`)).toEqual([
      `${backupName("mortal", "good")} ACTIVE`,
      `${backupName("mortal", "next")} ACTIVE`,
    ]);
    expect(backups[0]).toEqual(untouched);
    for (const backup of backups) await assertWhole(stage, backup);
    expect(await stage.objects(vault, "backupCollections/mortal/")).toEqual(
      ["good", "next"].flatMap((id) => [
        fileObject(backupName("mortal", id), 0),
        manifestObject(backupName("mortal", id)),
      ]),
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

it("restores into a target that dies in the middle, once it is back", { timeout: 240_000 }, async () => {
  const source = await behindGate("steady", true);
  const target = await behindGate("weak", false);
  await stage.done("backup.v1.requested", { instance: "steady", backupId: "whole" });
  const half = target.gate.shut("up", 20e6);
  const restoring = await stage.ask("restore.v1.requested", {
    instance: "weak",
    backup: backupName("steady", "whole"),
  });
  await half;
  await target.server.kill();
  target.gate.open();
  await until(
    async () => (await stage.tasks(restoring)).find(({ error }) => error?.code === "UNAVAILABLE"),
    "the failure of the first attempt",
  );
  await stage.valkey({ port: target.server.port });
  expect((await stage.ended(restoring)).error).toBeUndefined();
  expect(await holdings(target.endpoint)).toEqual(await holdings(source.endpoint));
});

it("leaves nothing of a backup that is cancelled in the middle, and its name is free again", {
  timeout: 120_000,
}, async () => {
  const source = await behindGate("cancelled", true);
  const half = source.gate.shut("down", 20e6);
  const taking = await stage.ask("backup.v1.requested", { instance: "cancelled", backupId: "half" });
  await half;
  await endOperation(stage.ports, taking, new StatusError("CANCELLED", "cancelled by a test"), true);
  source.gate.open();
  const backup = backupName("cancelled", "half");
  await stage.operation(({ verb, target, done }) => verb === "erase" && target === backup && done);
  expect(await backupsOf(stage, "cancelled")).toMatchObject({ backups: [], collection: { totalBackupCount: 0 } });
  expect((await stage.done("backup.v1.requested", { instance: "cancelled", backupId: "half" })).error).toBeUndefined();
  const { backups } = await backupsOf(stage, "cancelled");
  for (const whole of backups) await assertWhole(stage, whole);
  expect(backups).toHaveLength(1);
});
