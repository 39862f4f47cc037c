import { afterAll, beforeAll, expect, it } from "vitest";
import { backupName } from "../../shared/backup/name.ts";
import { until } from "../fixture/until.ts";
import { fillBulk, holdings } from "./data.ts";
import { assertAtRest, assertWhole, backupsOf, openStage, type Stage } from "./stage.ts";

/** One file, loaded by several deliveries, by range: on a real server, with the function host killed in the middle. */
let stage: Stage;

beforeAll(async () => {
  // With 64 MiB the files of this test would be one part each.
  stage = await openStage({ isQuick: true, environment: { VALKEEP_BORDER_BYTES: "2000000" } });
});

afterAll(async () => await stage[Symbol.asyncDispose]());

it("restores a file in parts, the function host killed while two of them are half loaded", {
  timeout: 240_000,
}, async () => {
  const source = await stage.valkey();
  const target = await stage.valkey();
  const gate = await stage.gate(target.endpoint);
  await stage.register("orders", source.endpoint);
  await stage.register("copy", gate.endpoint);
  await fillBulk(source.endpoint, 60);
  const backup = backupName("orders", "first");
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "first" });
  const { backups } = await backupsOf(stage, "orders");
  expect(backups.map(({ backupFiles }) => backupFiles[0]?.index?.sizeBytes)).toEqual([expect.any(Number)]);
  for (const one of backups) await assertWhole(stage, one);

  const half = gate.shut("up", 3e6); // each connection, so each part
  const restoring = await stage.ask("restore.v1.requested", { instance: "copy", backup, maxParallelLoads: 2 });
  await half;
  const pid = stage.stack.pids()["functions-load"];
  stage.stack.killFunctions();
  await until(async () => stage.stack.pids()["functions-load"] !== pid, "another function host");
  gate.open(); // what the dead one had on its way arrives late
  const restored = await stage.ended(restoring);

  expect(restored.error).toBeUndefined();
  expect(restored.response).toMatchObject({ keys: 600, sizeBytes: backups[0]?.totalSizeBytes });
  expect(restored.plan?.parts.length).toBeGreaterThan(3);
  expect(restored.plan?.loadedCount).toBe(restored.plan?.parts.length);
  const attempts = (await stage.tasks(restoring)).map(({ attempt }) => attempt);
  expect(Math.max(...attempts)).toBeGreaterThan(1);
  expect(await holdings(target.endpoint)).toEqual(await holdings(source.endpoint));
  await assertAtRest(stage);
});

it("restores files from a bucket in parts, their borders found by the plan", { timeout: 120_000 }, async () => {
  const target = await stage.valkey();
  await stage.register("other", target.endpoint);
  const uri = `gs://${stage.ports.settings.vaultBucket}/${backupName("orders", "first")}/0.rdb`;
  const restored = await stage.done("restore.v1.requested", { instance: "other", gcsSourceUris: [uri] });
  expect(restored.error).toBeUndefined();
  expect(restored.plan?.parts.length).toBeGreaterThan(3);
  expect((await holdings(target.endpoint)).keys).toBe(600);
});
