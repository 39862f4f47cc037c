import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ValkeyServer } from "../../infra/local/valkey-server.ts";
import { backupName } from "../../shared/backup/name.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { send } from "../valkey/client.ts";
import { backupsOf, openStage, type Stage } from "./stage.ts";

/** Backups by way of the volume, of a server that forbids replication to the user that takes them. */
let stage: Stage;
let server: ValkeyServer;
beforeAll(async () => {
  stage = await openStage();
  server = await stage.valkey({ version: "8.0" });
  await fillEverything(server.endpoint);
  const rules = ["+ping", "+info", "+bgsave", "+config|get", "+function|stats"];
  await send(server.endpoint, ["ACL", "SETUSER", "backup", "reset", "on", ">sesame", ...rules]);
});
afterAll(async () => await stage[Symbol.asyncDispose]());

async function register(id: string, dataDirectory: string): Promise<void> {
  const authSecret = await stage.secret(`${id}-password`, "sesame");
  const access = { authUser: "backup", authSecret };
  await stage.register(id, server.endpoint, { ...access, snapshotMethod: "volume", dataDirectory });
}

it("a backup is taken without the right to replicate, and restored as it was", async () => {
  await register("orders", server.directory);
  const wanted = await fingerprint(server.endpoint);
  const backup = await stage.done("backup.v1.requested", { instance: "orders", backupId: "first" });
  expect(backup.error).toBeUndefined();
  const { backups } = await backupsOf(stage, "orders");
  expect(backups).toMatchObject([
    { state: "ACTIVE", verification: "CHECKED", backupFiles: [{ sourceRole: "PRIMARY" }] },
  ]);
  const target = await stage.valkey({ version: "8.0" });
  await stage.register("copy", target.endpoint);
  const restore = await stage.done("restore.v1.requested", { instance: "copy", backup: backupName("orders", "first") });
  expect(restore.error).toBeUndefined();
  expect(await fingerprint(target.endpoint)).toEqual(wanted);
});

it("a directory that is not the server's fails the backup with its reason, and leaves nothing behind", async () => {
  const elsewhere = await mkdtemp(join(tmpdir(), "valkeep-elsewhere-"));
  try {
    await register("lost", elsewhere);
    const { error } = await stage.done("backup.v1.requested", { instance: "lost", backupId: "first" });
    expect(error).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining(`mount its directory ${server.directory} there, or correct --data-directory`),
    });
    expect((await backupsOf(stage, "lost")).backups).toEqual([]);
    expect(await stage.objects(stage.ports.settings.vaultBucket, "backupCollections/lost/")).toEqual([]);
  } finally {
    await rm(elsewhere, { recursive: true });
  }
});
