import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { command, fillBulk, holdings } from "./data.ts";
import { assertAtRest, assertWhole, backupsOf, openStage, type Stage } from "./stage.ts";

/** What Cloud Storage can do in the middle of an upload of 20 MB, and of a download. */
let stage: Stage;
let source: string;
const original = backupName("original", "original");

beforeAll(async () => {
  stage = await openStage();
  source = (await stage.valkey()).endpoint;
  await fillBulk(source, 20);
  await stage.register("original", source);
  await stage.done("backup.v1.requested", { instance: "original", backupId: "original" });
});

afterAll(async () => {
  try {
    await assertAtRest(stage);
  } finally {
    await stage[Symbol.asyncDispose]();
  }
});

const attempts = async ({ name }: Operation) => Math.max(...(await stage.tasks(name)).map(({ attempt }) => attempt));

/** The RDB file of a backup. */
async function bytesOf(backup: string): Promise<Buffer> {
  const file = await stage.ports.objects.stat(stage.stack.stack.storage.vaultBucket, `${backup}/0.rdb`);
  if (file === undefined) throw new Error(`${backup} has no file`);
  return Buffer.concat(await Array.fromAsync(stage.ports.objects.read(file), (chunk) => Buffer.from(chunk)));
}

describe("an upload", () => {
  it.each([
    ["that is answered 503 three times", { kind: "status", times: 3 }, 1],
    ["whose connection is reset", { kind: "reset", afterBytes: 5e6 }, 1],
    ["that stalls", { kind: "stall", afterBytes: 5e6 }, 1],
    ["of which a byte changes on its way is taken anew and", { kind: "corrupt", afterBytes: 5e6 }, 2],
  ])("%s becomes one whole backup", { timeout: 120_000 }, async (_name, fault, wanted) => {
    const id = `up-${fault.kind}`;
    await stage.register(id, source);
    await stage.fault({ match: { method: "PUT", pathIncludes: `backupCollections/${id}/` }, ...fault });
    const operation = await stage.done("backup.v1.requested", { instance: id });
    expect(operation.error).toBeUndefined();
    expect(await stage.armed()).toBe(0);
    expect(await attempts(operation)).toBe(wanted);
    const { backups } = await backupsOf(stage, id);
    expect(backups).toHaveLength(1);
    for (const backup of backups) await assertWhole(stage, backup);
  });
});

describe("a download", () => {
  const target = async (id: string) => {
    const { endpoint } = await stage.valkey();
    await stage.register(id, endpoint);
    return endpoint;
  };

  it.each([
    ["that is answered 503 three times", { kind: "status", times: 3 }],
    ["whose connection is reset", { kind: "reset", afterBytes: 5e6 }],
    ["that stalls", { kind: "stall", afterBytes: 5e6 }],
  ])("%s is restored all the same", { timeout: 120_000 }, async (_name, fault) => {
    const endpoint = await target(`down-${fault.kind}`);
    await stage.fault({ match: { media: true, pathIncludes: `${original}/0.rdb` }, ...fault });
    const operation = await stage.done("restore.v1.requested", { instance: `down-${fault.kind}`, backup: original });
    expect(operation.error).toBeUndefined();
    expect(await stage.armed()).toBe(0);
    expect(await attempts(operation)).toBe(1);
    expect(await holdings(endpoint)).toEqual(await holdings(source));
  });

  it("of which a byte of a value changes on its way is read again", { timeout: 120_000 }, async () => {
    const endpoint = await target("down-value");
    await stage.fault({ match: { media: true, pathIncludes: `${original}/0.rdb` }, kind: "corrupt", afterBytes: 5e6 });
    const operation = await stage.done("restore.v1.requested", { instance: "down-value", backup: original });
    expect(operation.error).toBeUndefined();
    expect(await stage.armed()).toBe(0);
    expect(await attempts(operation)).toBe(2);
    expect(await holdings(endpoint)).toEqual(await holdings(source));
  });

  it("of which a byte of a key changes on its way fails the restore, which says what to do, and that works", {
    timeout: 120_000,
  }, async () => {
    const endpoint = await target("down-key");
    // The first of all: long written when the damage is noticed, at the end of the file.
    const afterBytes = (await bytesOf(original)).indexOf("bulk:");
    await stage.fault({ match: { media: true, pathIncludes: `${original}/0.rdb` }, kind: "corrupt", afterBytes });
    const { error } = await stage.done("restore.v1.requested", { instance: "down-key", backup: original });
    expect(error).toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringMatching(/holds 201 keys .*200 were loaded.*Empty it and restore again/),
    });
    await command(endpoint, "FLUSHALL");
    const again = await stage.done("restore.v1.requested", { instance: "down-key", backup: original });
    expect(again.error).toBeUndefined();
    expect(await holdings(endpoint)).toEqual(await holdings(source));
  });

  it("of an inbox file of which a byte changes on its way leaves the target empty", async () => {
    const endpoint = await target("inbox-corrupt");
    const { vaultBucket, inboxBucket: bucket } = stage.stack.stack.storage;
    const file = await stage.ports.objects.stat(vaultBucket, `${original}/0.rdb`);
    if (file === undefined) throw new Error("the backup's file is not there");
    const object = "inbox-corrupt/a.rdb";
    await stage.fault({ match: { media: true, pathIncludes: object }, kind: "corrupt", afterBytes: 5e6 });
    await stage.ports.objects.copy(file, { bucket, object }, {});
    const { error } = await stage.operation(({ target, done }) => target.endsWith(object) && done);
    expect(error).toMatchObject({ code: "DATA_LOSS" });
    expect((await holdings(endpoint)).keys).toBe(0);
  });
});

describe("a storage server that is killed", () => {
  /** A server behind a gate, registered by this id. */
  async function behindGate(id: string) {
    const { endpoint } = await stage.valkey();
    const gate = await stage.gate(endpoint);
    await stage.register(id, gate.endpoint);
    return { endpoint, gate };
  }
  const kill = () => process.kill(stage.stack.pids().storage ?? 0, "SIGKILL");

  it("in the middle of an upload does not keep it from becoming one whole backup", { timeout: 120_000 }, async () => {
    const { endpoint, gate } = await behindGate("up-killed");
    await fillBulk(endpoint, 20);
    const half = gate.shut("down", 12e6);
    const taking = await stage.ask("backup.v1.requested", { instance: "up-killed" });
    await half;
    kill();
    gate.open();
    expect((await stage.ended(taking)).error).toBeUndefined();
    const { backups } = await backupsOf(stage, "up-killed");
    expect(backups).toHaveLength(1);
    for (const backup of backups) await assertWhole(stage, backup);
  });

  it("in the middle of a download does not keep it from being restored", { timeout: 120_000 }, async () => {
    const { endpoint, gate } = await behindGate("down-killed");
    const half = gate.shut("up", 5e6);
    const restoring = await stage.ask("restore.v1.requested", { instance: "down-killed", backup: original });
    await half;
    kill();
    gate.open();
    expect((await stage.ended(restoring)).error).toBeUndefined();
    expect(await holdings(endpoint)).toEqual(await holdings(source));
  });
});
