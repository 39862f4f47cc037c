import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import type { InstanceFlags } from "../../shared/backup/instance.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { until } from "../fixture/until.ts";
import { command, fillBulk, holdings } from "./data.ts";
import { endAtRest, startSource } from "./source.ts";
import { backupsOf, openStage, type Stage } from "./stage.ts";

/** What bad requests get from real servers: the reason on the Operation, and nothing is changed or left. */
let stage: Stage;
let source: string;
const nightly = backupName("orders", "nightly");
const password = "a-password-that-nobody-may-see";

beforeAll(async () => {
  stage = await openStage();
  source = await startSource(stage);
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "nightly" });
});

afterAll(async () => await endAtRest(stage, password));

const failed = ({ done, error }: Pick<Operation, "done" | "error">, code: string, reason: RegExp) =>
  expect({ done, error }).toEqual({
    done: true,
    error: expect.objectContaining({ code, message: expect.stringMatching(reason) }),
  });

describe("a backup", () => {
  /** Asks for a backup of an instance that is reached so; it leaves nothing. */
  async function refused(endpoint: string, flags: InstanceFlags, code: string, reason: RegExp) {
    const id = `source-${(await stage.operations()).length}`;
    await stage.register(id, endpoint, flags);
    failed(await stage.done("backup.v1.requested", { instance: id }), code, reason);
    expect((await backupsOf(stage, id)).backups).toEqual([]);
    expect(await stage.objects(stage.ports.settings.vaultBucket, `backupCollections/${id}/`)).toEqual([]);
  }

  it("with a wrong password fails at once", async () => {
    const { endpoint } = await stage.valkey({ password });
    const authSecret = await stage.secret("wrong", `not-${password}`);
    await refused(endpoint, { authSecret }, "UNAUTHENTICATED", /refuses the user name or password: check --auth-user/);
  });

  it("without a password, where one is asked for, fails at once", async () => {
    const { endpoint } = await stage.valkey({ password });
    await refused(endpoint, {}, "UNAUTHENTICATED", /asks for a password: set --auth-secret/);
  });

  it("whose secret is not there is refused", async () => {
    await refused(
      source,
      { authSecret: "file:nowhere" },
      "NOT_FOUND",
      /there is no such file under .*secrets: put it there/,
    );
  });

  it("by a user who may not PSYNC fails at once, and names what the ACL lacks", async () => {
    const { endpoint } = await stage.valkey();
    await command(endpoint, "ACL", "SETUSER", "backup", "on", `>${password}`, "+ping", "+info", "+replconf");
    const flags = { authUser: "backup", authSecret: await stage.secret("backup", password) };
    await refused(endpoint, flags, "PERMISSION_DENIED", /ACL of user backup .* lacks psync: ACL SETUSER backup/);
  });

  it("with TLS where none is is refused", async () => {
    const flags = { transitEncryptionMode: "server-authentication" };
    await refused(source, flags, "FAILED_PRECONDITION", /speaks no TLS: set --transit-encryption-mode/);
  });

  it("of something that is no Valkey is refused", async () => {
    const { host } = new URL(stage.stack.stack.storage.apiEndpoint);
    await refused(host, {}, "FAILED_PRECONDITION", /is no Valkey: check the endpoint's port/);
  });

  it("of an id that exists is refused, and the backup stays as it is", async () => {
    const before = [await backupsOf(stage, "orders"), await stage.objects(stage.ports.settings.vaultBucket)];
    const operation = await stage.done("backup.v1.requested", { instance: "orders", backupId: "nightly" });
    failed(operation, "ALREADY_EXISTS", /nightly exists already; choose another backup id/);
    expect([await backupsOf(stage, "orders"), await stage.objects(stage.ports.settings.vaultBucket)]).toEqual(before);
  });

  it("where nobody answers says so while it is tried again, and can be cancelled", { timeout: 90_000 }, async () => {
    const server = await stage.valkey();
    await stage.register("gone", server.endpoint);
    await server.kill();
    const name = await stage.ask("backup.v1.requested", { instance: "gone" });
    const task = await until(async () => (await stage.tasks(name)).find(({ attempt }) => attempt > 1), "attempt 2");
    expect(task.error).toMatchObject({ code: "UNAVAILABLE", message: expect.stringMatching(/^nobody answers at/) });
    await endOperation(stage.ports, name, new StatusError("CANCELLED", "cancelled by a test"), true);
    failed(await stage.ended(name), "CANCELLED", /cancelled/);
    await stage.operation(({ verb, target, done }) => verb === "erase" && /\/gone\//.test(target) && done);
    expect((await backupsOf(stage, "gone")).backups).toEqual([]);
  });
});

describe("a restore", () => {
  it("into a full target is refused, and changes nothing", async () => {
    const { endpoint } = await stage.valkey();
    await fillBulk(endpoint, 1);
    const before = await holdings(endpoint);
    await stage.register("full", endpoint);
    const operation = await stage.done("restore.v1.requested", { instance: "full", backup: nightly });
    failed(operation, "FAILED_PRECONDITION", /the target holds 10 keys; a restore wants an empty one/);
    expect(await holdings(endpoint)).toEqual(before);
  });

  it("into a server older than the file needs is refused before anything is written", async () => {
    const { endpoint } = await stage.valkey({ version: "redis-7.0" });
    await stage.register("older", endpoint);
    const operation = await stage.done("restore.v1.requested", { instance: "older", backup: nightly });
    failed(operation, "FAILED_PRECONDITION", /the files need RDB version 11, Redis 7\.0\.\d+ reads up to 10/);
    expect((await holdings(endpoint)).keys).toBe(0);
  });

  it("into a server with too little memory is refused before anything is written", async () => {
    const { endpoint } = await stage.valkey({ args: ["--maxmemory", "3mb"] });
    await stage.register("narrow", endpoint);
    const operation = await stage.done("restore.v1.requested", { instance: "narrow", backup: nightly });
    failed(operation, "FAILED_PRECONDITION", /bytes of memory are needed, \d+ are free under maxmemory/);
    expect((await holdings(endpoint)).keys).toBe(0);
  });

  it("while another one writes there is refused, and the other goes on", async () => {
    const { endpoint } = await stage.valkey();
    const gate = await stage.gate(endpoint);
    await stage.register("taken", gate.endpoint);
    const half = gate.shut("up", 500_000);
    const first = await stage.ask("restore.v1.requested", { instance: "taken", backup: nightly });
    await half;
    const second = await stage.done("restore.v1.requested", { instance: "taken", backup: nightly });
    failed(second, "FAILED_PRECONDITION", new RegExp(`is being restored by ${first}: one restore at a time`));
    const deletion = await stage.done("deletion.v1.requested", { backup: nightly });
    failed(deletion, "FAILED_PRECONDITION", new RegExp(`in use by ${first}`));
    gate.open();
    expect((await stage.ended(first)).error).toBeUndefined();
  });

  it("of a backup that is deleted or erased is refused", async () => {
    const { endpoint } = await stage.valkey();
    await stage.register("late", endpoint);
    const backup = backupName("orders", "doomed");
    const restore = () => stage.done("restore.v1.requested", { instance: "late", backup });
    await stage.done("backup.v1.requested", { instance: "orders", backupId: "doomed" });
    await stage.done("deletion.v1.requested", { backup, grace: "0s" });
    failed(await restore(), "FAILED_PRECONDITION", /being deleted/);
    const doc = await stage.ports.store.get<Backup>(backup);
    if (doc === undefined) throw new Error("the tombstone is gone");
    const data = { ...doc.data, purgeStartTime: doc.data.purgeTime };
    await stage.ports.store.commit([{ kind: "put", path: backup, data, updateTime: doc.updateTime }]);
    failed(await restore(), "FAILED_PRECONDITION", /being (deleted|erased)/);
    await stage.done("sweep.v1.requested", {});
    await stage.operation(({ verb, target, done }) => verb === "erase" && target === backup && done);
    failed(await restore(), "NOT_FOUND", /there is no backupCollections\/orders\/backups\/doomed/);
    expect((await holdings(endpoint)).keys).toBe(0);
  });
});

describe("a file in the inbox", () => {
  let endpoint: string;
  let whole: Buffer;

  beforeAll(async () => {
    endpoint = (await stage.valkey()).endpoint;
    await stage.register("inboxed", endpoint);
    const bucket = bucketNamed(stage.ports.settings.vaultBucket);
    [whole] = await bucket.file(`${nightly}/0.rdb`).download();
  });

  const bucketNamed = (name: string) => {
    const { projectId, storage } = stage.stack.stack;
    return new Storage({ projectId, apiEndpoint: storage.apiEndpoint }).bucket(name);
  };

  /** In one byte, which surely is another then. */
  const damaged = (file: Buffer) => file.fill(file[3000] === 0xff ? 0xfe : 0xff, 3000, 3001);

  async function land(object: string, bytes: Uint8Array | string): Promise<Operation> {
    await bucketNamed(stage.ports.settings.inboxBucket).file(object).save(Buffer.from(bytes));
    return await stage.operation(({ target, done }) => target.endsWith(`/${object}`) && done);
  }

  it.each<[string, string, (file: Buffer) => Uint8Array | string, string, RegExp]>([
    ["that is damaged", "inboxed/damaged.rdb", damaged, "DATA_LOSS", /offset|CRC|byte/],
    ["that is truncated", "inboxed/truncated.rdb", (file) => file.subarray(0, -9), "DATA_LOSS", /ends?|trunc/i],
    ["that is empty", "inboxed/empty.rdb", () => "", "DATA_LOSS", /ends?|empty|bytes/i],
    ["that is no RDB file", "inboxed/text.rdb", () => "a,b\n1,2\n", "DATA_LOSS", /REDIS|RDB|magic/],
    ["of a future version", "inboxed/v99.rdb", () => "VALKEY999\xff".repeat(3), "UNIMPLEMENTED", /version/],
    ["of an unknown instance", "nobody/a.rdb", (file) => file, "NOT_FOUND", /instances\/nobody is not registered/],
    ["of another kind", "inboxed/a.csv", () => "x", "FAILED_PRECONDITION", /expected INSTANCE\/NAME\.rdb/],
    ["in no folder", "loose.rdb", () => "x", "FAILED_PRECONDITION", /expected INSTANCE\/NAME\.rdb/],
    ["with a way out in its name", "inboxed/../a.rdb", () => "x", "FAILED_PRECONDITION", /expected INSTANCE\/NAME/],
    ["in a folder of no instance id", "In Boxed/a.rdb", () => "x", "FAILED_PRECONDITION", /no instance id/],
  ])("%s is not restored, and the reason is on its operation", async (_name, object, bytes, code, reason) => {
    failed(await land(object, bytes(Buffer.from(whole))), code, reason);
    expect((await holdings(endpoint)).keys).toBe(0);
  });

  it("that is a folder's placeholder is ignored", async () => {
    const before = (await stage.operations()).length;
    await bucketNamed(stage.ports.settings.inboxBucket).file("inboxed/").save("");
    await land("inboxed/after-the-folder.csv", "x");
    expect((await stage.operations()).length).toBe(before + 1);
  });
});
