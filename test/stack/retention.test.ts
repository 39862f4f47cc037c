import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import { backupName, fileObject, manifestObject } from "../../shared/backup/name.ts";
import { valkeep } from "../cli/terminal.ts";
import { fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { startSource } from "./source.ts";
import { assertAtRest, assertWhole, openStage, type Stage } from "./stage.ts";

/** What is kept and what goes, on the emulators and the storage server's own retention and holds. */
let stage: Stage;
let source: string;

beforeAll(async () => {
  stage = await openStage();
  source = await startSource(stage);
});

afterAll(async () => await stage[Symbol.asyncDispose]());

const vault = () => {
  const { projectId, storage } = stage.stack.stack;
  return new Storage({ projectId, apiEndpoint: storage.apiEndpoint }).bucket(storage.vaultBucket);
};

/** Takes a backup; the newest verified one is never taken, so that another has to follow those that may go. */
async function take(...backupIds: string[]): Promise<string[]> {
  for (const backupId of backupIds) await stage.done("backup.v1.requested", { instance: "orders", backupId });
  return backupIds.map((backupId) => backupName("orders", backupId));
}

/** Lets it expire in the next seconds: a time that is past when the function reads it is refused. */
async function expireSoon(backup: string): Promise<void> {
  for (let margin = 1_500; ; margin *= 2) {
    const expireTime = timeOf(Date.now() + margin);
    if ((await stage.done("expiry.v1.requested", { backup, expireTime })).error === undefined) return;
  }
}

const stored = (name = "") => stage.document<Backup>(name);
const dryRun = async () => (await valkeep("sweep --dry-run", { ports: stage.ports })).stdout;
const erasuresOf = async (backup: string) =>
  (await stage.operations()).filter(({ verb, target }) => verb === "erase" && target === backup);

/** Sweeps and waits for the end of the `count`-th erasure of a backup. */
async function sweepAndErase(backup: string, count: number) {
  await stage.done("sweep.v1.requested", {});
  const ended = async () => (await erasuresOf(backup)).filter(({ done }) => done);
  return await until(async () => (await ended()).length === count && ended(), `${count} erasures of ${backup}`);
}

it("an erasure that the bucket's retention policy blocks is DEFERRED, and done after its date", async () => {
  const [retained = ""] = await take("retained", "newest");
  // From its making on: what the backup of the newest took must not count.
  const age = Date.now() - Date.parse((await stored(retained))?.createTime ?? "");
  await vault().setRetentionPeriod(Math.ceil(age / 1_000) + 20);
  await stage.done("deletion.v1.requested", { backup: retained, grace: "0s" });

  const [first] = await sweepAndErase(retained, 1);
  const { deferredUntil = "", ...found } = (await stored(retained)) ?? {};
  expect(first).toMatchObject({ response: { deferredUntil, deferredBy: "RETENTION_POLICY" } });
  expect(first?.error).toBeUndefined();
  expect(found).toMatchObject({ state: "DELETING", deferredBy: "RETENTION_POLICY" });
  expect(await dryRun()).toMatch(/orders\/retained +DEFERRED +deleted, its bucket's retention policy keeps it until 2/);
  expect(await stage.objects(vault().name, `${retained}/`)).toHaveLength(2);

  await until(async () => timeOf(Date.now()) > deferredUntil, "the date of the deferral", 60);
  await sweepAndErase(retained, 2);
  expect(await stored(retained)).toBeUndefined();
  expect(await stage.objects(vault().name, `${retained}/`)).toEqual([]);
  expect((await stage.operations()).filter(({ error }) => error !== undefined)).toEqual([]);
  await vault().removeRetentionPeriod();
  await assertAtRest(stage);
});

describe("a hold", () => {
  it("keeps a backup from sweeps and people, and its objects from everybody", async () => {
    const [held = ""] = await take("held", "newer");
    await expireSoon(held);
    await stage.done("hold.v1.requested", { backup: held, reason: "audit" });
    await until(async () => ((await stored(held))?.expireTime ?? "") < timeOf(Date.now()), "its expiry");

    expect((await stage.done("sweep.v1.requested", {})).response).toMatchObject({ expired: 0, erased: 0 });
    expect(await dryRun()).toMatch(/orders\/held +HOLD +it is held: audit/);
    const { error } = await stage.done("deletion.v1.requested", { backup: held });
    expect(error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringContaining("it is held: audit") });
    for (const object of [manifestObject(held), fileObject(held, 0)]) {
      expect((await stage.ports.objects.stat(vault().name, object))?.isHeld).toBe(true);
      await expect(vault().file(object).delete()).rejects.toMatchObject({ code: 403 });
    }

    await stage.done("release.v1.requested", { backup: held });
    await stage.done("sweep.v1.requested", {});
    await until(async () => (await stored(held))?.state === "DELETING", "its tombstone");
  });
});

it("an undelete brings everything back, and it can be restored", async () => {
  const [doomed = ""] = await take("doomed");
  const before = await stored(doomed);
  await stage.done("deletion.v1.requested", { backup: doomed, grace: "1h" });
  await stage.done("sweep.v1.requested", {});
  await stage.done("undelete.v1.requested", { backup: doomed });
  const after = await stored(doomed);
  expect(after).toEqual(before);
  if (after !== undefined) await assertWhole(stage, after);

  const { endpoint } = await stage.valkey({ version: "8.0" });
  await stage.register("copy", endpoint);
  const { error } = await stage.done("restore.v1.requested", { instance: "copy", backup: doomed });
  expect(error).toBeUndefined();
  expect(await fingerprint(endpoint)).toEqual(await fingerprint(source));
});
