import { afterAll, beforeAll, expect, it } from "vitest";
import { backupName } from "../../shared/backup/name.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { fillBulk } from "./data.ts";
import { assertAtRest, assertWhole, backupsOf, openStage, type Stage } from "./stage.ts";

/** A stack that is stopped and started again in its directory. The Pub/Sub emulator forgets its messages meanwhile. */
let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
});

afterAll(async () => await stage[Symbol.asyncDispose]());

it("keeps what it held, and goes on by itself with what was under way", { timeout: 300_000 }, async () => {
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
  // What neither of the two touches for half a minute yet.
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
  const before = await held();
  await stage.restart();
  expect(await held()).toEqual(before);
  expect(before.jobs).toContain("valkeep-backup-orders 0 3 * * * ENABLED");

  gate.open();
  const { name: restore } = await stage.operation(({ requestId }) => requestId === "unpublished");
  const ended = Promise.all([stage.ended(snapshot), stage.ended(restore)]);
  const [taken, restored] = await ticking(ended);
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

/** Cloud Scheduler ticks every minute; here every few seconds, so that nobody waits for the full minute. */
async function ticking<T>(work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const ticks = until(async () => {
    await stage.ports.scheduler.run("valkeep-tick");
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    return over.signal.aborted;
  }, "the end of the work");
  try {
    return await work;
  } finally {
    over.abort();
    await ticks;
  }
}
