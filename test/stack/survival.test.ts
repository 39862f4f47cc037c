import { afterAll, beforeAll, expect, it } from "vitest";
import { backupName } from "../../shared/backup/name.ts";
import type { Job, Ports } from "../../shared/pipeline/ports.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { fillBulk } from "./data.ts";
import { assertAtRest, assertWhole, backupsOf, openStage, type Stage, ticking } from "./stage.ts";

/** A stack that is stopped and started again in its directory. The Pub/Sub emulator forgets its messages meanwhile. */
let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ environment: { VALKEEP_LEASE_SECONDS: "12" } });
});

afterAll(async () => await stage[Symbol.asyncDispose]());

it("keeps what it held, and goes on by itself with what was under way", { timeout: 180_000 }, async () => {
  const source = (await stage.valkey()).endpoint;
  const copy = (await stage.valkey()).endpoint;
  await fillEverything(source);
  await stage.register("orders", source, { automatedBackupMode: "enabled", startTimeHours: "3" });
  await stage.register("copy", copy);
  await stage.done("instance.v1.changed", { instance: "orders" });
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "before" });

  // One in the middle of its snapshot, one whose request was kept and not yet published when everything stopped.
  const large = (await stage.valkey()).endpoint;
  await fillBulk(large, 20);
  const gate = await stage.gate(large);
  await stage.register("large", gate.endpoint);
  const half = gate.shut("down", 10e6);
  const snapshot = await stage.ask("backup.v1.requested", { instance: "large", backupId: "half" });
  await half;
  const unpublished = submit(silenced(stage.ports), "restore.v1.requested", {
    instance: "copy",
    backup: backupName("orders", "before"),
    requestId: "unpublished",
  });
  await expect(unpublished).rejects.toThrow("a crash before the publish");
  const held = async () => ({
    documents: await Promise.all(
      ["backups", "backupCollections"].map(async (collection) =>
        (await stage.ports.store.query({ collection, group: true })).map(({ path, data }) => ({ path, data })),
      ),
    ),
    instance: await stage.document("instances/orders"),
    objects: await stage.objects(stage.ports.settings.vaultBucket),
    jobs: (await stage.ports.scheduler.list()).map(({ id, cron, state }) => `${id} ${cron} ${state}`).sort(),
  });
  stage.stack.killFunctions();
  // Without a tick neither of the two goes on.
  await letTick("PAUSED");
  const before = await held();
  await stage.restart();
  expect(await held()).toEqual(before);
  expect(before.jobs).toContain("valkeep-backup-orders 0 3 * * * ENABLED");
  await letTick("ENABLED");

  gate.open();
  const { name: restore } = await stage.operation(({ requestId }) => requestId === "unpublished");
  const calm = ticking(stage);
  const [taken, restored] = await Promise.all([stage.ended(snapshot), stage.ended(restore)]).finally(calm);
  expect([taken.error, restored.error]).toEqual([undefined, undefined]);
  expect(await fingerprint(copy)).toEqual(await fingerprint(source));
  for (const id of ["orders", "large"]) {
    const { backups } = await backupsOf(stage, id);
    expect(backups).toHaveLength(1);
    for (const backup of backups) await assertWhole(stage, backup);
  }
  await assertAtRest(stage);
});

/** Ports on which nothing is published: the command that asked died right after its commit. */
const silenced = (ports: Ports): Ports => ({
  ...ports,
  events: { publish: () => Promise.reject(new Error("a crash before the publish")) },
});

async function letTick(state: Job["state"]): Promise<void> {
  const tick = await stage.ports.scheduler.get("valkeep-tick");
  if (tick === undefined) throw new Error("nothing ticks");
  await stage.ports.scheduler.put({ ...tick, state });
}
