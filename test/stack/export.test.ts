import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { type BackupCopy, copyName } from "../../shared/backup/copy.ts";
import { backupName } from "../../shared/backup/name.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { assertAtRest, backupsOf, openStage, type Stage } from "./stage.ts";

/** Copies in buckets of the operator's, by the command itself, on the emulators and a real Valkey that holds every type. */
let stage: Stage;
let source: string;
const root = join(import.meta.dirname, "../..");

beforeAll(async () => {
  stage = await openStage();
  source = (await stage.valkey({ version: "8.0" })).endpoint;
  await fillEverything(source);
  await valkeep(`instances create orders --endpoint=${source} --location=asia-northeast1`);
});

afterAll(async () => {
  try {
    await assertAtRest(stage);
  } finally {
    await stage[Symbol.asyncDispose]();
  }
});

/** Runs the command as a person does, in a process of its own; fails with what it said unless it is done. */
async function valkeep(line: string): Promise<string> {
  const child = spawn(join(root, "infra/cli/valkeep"), line.split(" "), {
    env: { PATH: process.env.PATH, VALKEEP_STACK: join(stage.stack.directory, "stack.json") },
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  expect({ line, code, stderr: code === 0 ? "" : stderr }).toEqual({ line, code: 0, stderr: "" });
  return stdout;
}

const storage = () => {
  const { projectId, storage: place } = stage.stack.stack;
  return new Storage({ projectId, apiEndpoint: place.apiEndpoint });
};

async function makeBuckets(purpose: string): Promise<{ tokyo: string; osaka: string }> {
  const [tokyo, osaka] = [`${purpose}-tokyo`, `${purpose}-osaka`];
  await storage().bucket(tokyo).create({ location: "ASIA-NORTHEAST1" });
  await storage().bucket(osaka).create({ location: "ASIA-NORTHEAST2" });
  return { tokyo, osaka };
}

/** What an object holds, and what is on record of it: the same in both buckets. */
async function assertCopied(backup: string, bucket: string, location: string): Promise<BackupCopy> {
  const { vaultBucket } = stage.ports.settings;
  const copy = await stage.document<BackupCopy>(copyName(backup, bucket));
  expect(copy).toMatchObject({ backup, gcsBucket: bucket, location });
  const names = await stage.objects(vaultBucket, `${backup}/`);
  expect(await stage.objects(bucket, `${backup}/`)).toEqual(names);
  for (const object of names) {
    const [wanted, found] = await Promise.all(
      [vaultBucket, bucket].map((place) => stage.ports.objects.stat(place, object)),
    );
    const { origin: _, ...marks } = wanted?.metadata ?? {}; // how a file came about its manifest tells
    expect(found).toMatchObject({ crc32c: wanted?.crc32c, sizeBytes: wanted?.sizeBytes, metadata: marks });
    expect(copy?.objects).toContainEqual({ object, generation: found?.generation });
  }
  if (copy === undefined) throw new Error(`${backup} has no copy in ${bucket}`);
  return copy;
}

describe("the README's way from Tokyo to Osaka", () => {
  /** Its commands, one a line; the bucket's creation is told apart from ours. */
  async function commands(): Promise<string[]> {
    const readme = await readFile(join(root, "README.md"), "utf8");
    const block = /### Moving to another region[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    return block
      .replaceAll(/\\\n\s*/g, "")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
  }

  it("brings every key of every type there, step by step as it is written", { timeout: 180_000 }, async () => {
    const osaka = (await stage.valkey({ version: "8.0" })).endpoint;
    const done: string[] = [];
    for (const line of await commands()) {
      const bucket = /^gcloud storage buckets create gs:\/\/(\S+) --location=(\S+)$/.exec(line);
      if (bucket !== null)
        await storage()
          .bucket(bucket[1] ?? "")
          .create({ location: bucket[2] ?? "" });
      else await valkeep(line.replace(/^npx valkeep /, "").replace("10.1.0.5:6379", osaka));
      done.push(line.split(" ").slice(0, 4).join(" "));
    }
    expect(done).toEqual([
      "gcloud storage buckets create",
      "gcloud storage buckets create",
      "npx valkeep backups create",
      "npx valkeep backups export",
      "npx valkeep instances create",
      "npx valkeep restores create",
    ]);
    const backup = backupName("orders", "move");
    await assertCopied(backup, "orders-tokyo", "asia-northeast1");
    await assertCopied(backup, "orders-osaka", "asia-northeast2");
    expect(await fingerprint(osaka)).toEqual(await fingerprint(source));
  });

  it("still ends well when nothing is left in Tokyo", { timeout: 120_000 }, async () => {
    const osaka = (await stage.valkey({ version: "8.0" })).endpoint;
    for (const bucket of ["orders-tokyo", stage.ports.settings.vaultBucket])
      await storage().bucket(bucket).deleteFiles({ prefix: "backupCollections/orders/backups/move/" });
    const restore = (await commands())
      .at(-1)
      ?.replace(/^npx valkeep /, "")
      .replace("--to=orders-osaka", `--to=${osaka}`);
    await valkeep(restore ?? "");
    expect(await fingerprint(osaka)).toEqual(await fingerprint(source));
  });
});

it("a policy copies what the schedule took to both regions, once", { timeout: 120_000 }, async () => {
  const { tokyo, osaka } = await makeBuckets("policy");
  const small = (await stage.valkey()).endpoint;
  await valkeep(
    `instances create nightly --endpoint=${small} --automated-backup-config-mode=enabled --export-policy=weekly` +
      ` --export-gcs-bucket=${tokyo} --export-retention=90d --export-onward-gcs-bucket=${osaka}`,
  );
  await Promise.all([1, 2].map(() => stage.ports.scheduler.run("valkeep-backup-nightly")));
  const isOurs = ({ target }: { target: string }) => target.startsWith("backupCollections/nightly/");
  const { error } = await stage.operation(
    (operation) => isOurs(operation) && operation.verb === "export" && operation.done,
  );
  expect(error).toBeUndefined();
  const { backups } = await backupsOf(stage, "nightly");
  expect(backups).toHaveLength(1);
  const backup = backups[0]?.name ?? "";
  expect((await assertCopied(backup, tokyo, "asia-northeast1")).expireTime).toBeDefined();
  expect((await assertCopied(backup, osaka, "asia-northeast2")).expireTime).toBeUndefined();
  expect(
    (await stage.operations()).filter((operation) => isOurs(operation) && operation.verb === "export"),
  ).toHaveLength(1);
});

describe("a copy onward", () => {
  it.each([
    ["answered 503 three times", { kind: "status", times: 3 }, 1],
    ["cut off", { kind: "reset" }, 1],
    ["damaged on the way, in the name of its owner,", { kind: "corrupt", afterBytes: 30 }, 2],
  ])("that is %s ends well", { timeout: 120_000 }, async (_name, fault, attempts) => {
    const id = `fault-${fault.kind}`;
    const { tokyo, osaka } = await makeBuckets(id);
    const backup = backupName("orders", id);
    await stage.done("backup.v1.requested", { instance: "orders", backupId: id });
    await stage.fault({ match: { method: "POST", pathIncludes: `rewriteTo/b/${osaka}/` }, ...fault });
    const operation = await stage.done("export.v1.requested", {
      backup,
      gcsBucket: tokyo,
      onward: { gcsBucket: osaka },
    });
    expect(operation.error).toBeUndefined();
    expect(await stage.armed()).toBe(0);
    const tasks = await stage.tasks(operation.name);
    expect(tasks.find(({ type }) => type === "copy.v1.requested")?.attempt).toBe(attempts);
    await assertCopied(backup, osaka, "asia-northeast2");
  });

  it("is refused over a file of somebody else, and the first copy stays", { timeout: 60_000 }, async () => {
    const { tokyo, osaka } = await makeBuckets("foreign");
    const backup = backupName("orders", "foreign");
    await stage.done("backup.v1.requested", { instance: "orders", backupId: "foreign" });
    await storage().bucket(osaka).file(`${backup}/0.rdb`).save("mine");
    const { error } = await stage.done("export.v1.requested", {
      backup,
      gcsBucket: tokyo,
      onward: { gcsBucket: osaka },
    });
    expect(error).toMatchObject({ code: "ALREADY_EXISTS", message: expect.stringContaining("nothing is overwritten") });
    expect(String(await storage().bucket(osaka).file(`${backup}/0.rdb`).download())).toBe("mine");
    await assertCopied(backup, tokyo, "asia-northeast1");
    expect((await stage.document<Backup>(backup))?.pins).toEqual([]);
  });
});

it("a copy whose bucket keeps it is erased once the bucket lets go of it", { timeout: 120_000 }, async () => {
  const { tokyo } = await makeBuckets("kept");
  await storage().bucket(tokyo).setRetentionPeriod(3600);
  const [old, fresh] = [backupName("orders", "kept-old"), backupName("orders", "kept-fresh")];
  for (const [backupId, backup] of Object.entries({ "kept-old": old, "kept-fresh": fresh })) {
    await stage.done("backup.v1.requested", { instance: "orders", backupId });
    await stage.done("export.v1.requested", { backup, gcsBucket: tokyo, retention: "1d" });
    await changeCopy(backup, tokyo, { expireTime: "2025-01-01T00:00:00.000Z" });
  }
  const known = new Set<string>();
  const retired = async () => {
    await stage.done("sweep.v1.requested", {});
    const { name } = await stage.operation((operation) => operation.verb === "retire" && !known.has(operation.name));
    known.add(name);
    return await stage.ended(name);
  };
  expect(await retired()).toMatchObject({ target: old, error: { code: "FAILED_PRECONDITION" } });
  expect(await stage.objects(tokyo, `${old}/`)).toHaveLength(2);
  await storage().bucket(tokyo).removeRetentionPeriod();
  await changeCopy(old, tokyo, { deferredUntil: "2025-01-01T00:00:00.000Z" });
  const { target, error } = await retired();
  expect({ target, error }).toEqual({ target: old, error: undefined });
  expect(await stage.objects(tokyo, `${old}/`)).toEqual([]);
  expect(await stage.document(copyName(old, tokyo))).toBeUndefined();
  expect(await stage.objects(tokyo, `${fresh}/`)).toHaveLength(2);
});

async function changeCopy(backup: string, bucket: string, fields: Partial<BackupCopy>): Promise<void> {
  const path = copyName(backup, bucket);
  const doc = await stage.ports.store.get<BackupCopy>(path);
  if (doc === undefined) throw new Error(`there is no ${path}`);
  await stage.ports.store.commit([{ kind: "put", path, data: { ...doc.data, ...fields }, updateTime: doc.updateTime }]);
}
