import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import { backupName, instanceName } from "../../shared/backup/name.ts";
import { createWorld, exports, inbox, instanceOf, onward, vault, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7001";
const one = backupName("orders", "one");
let world: World;

beforeEach(async () => {
  world = createWorld();
  world.valkey.start(endpoint);
});

const policy = async () => (await world.ports.store.get<Instance>(instanceName("orders")))?.data.exportPolicy;

async function register(): Promise<void> {
  const instance = instanceOf("orders", endpoint);
  await world.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
}

describe("an export policy", () => {
  const flags = [
    `--export-policy=weekly --export-gcs-bucket=${exports} --export-retention=90d --export-time-zone=Asia/Tokyo`,
    `--export-onward-gcs-bucket=${onward} --export-onward-retention=365d`,
  ].join(" ");
  const whole = {
    frequency: "WEEKLY",
    timeZone: "Asia/Tokyo",
    gcsBucket: exports,
    retentionSeconds: 90 * 86_400,
    onward: { gcsBucket: onward, retentionSeconds: 365 * 86_400 },
  };

  it("is set with the instance", async () => {
    await valkeepOn(world, `instances create orders --endpoint=${endpoint} ${flags}`);
    expect(await policy()).toEqual(whole);
  });

  it("is changed flag by flag, and set anew by --export-policy", async () => {
    await register();
    await valkeepOn(world, `instances update orders ${flags}`);
    expect(await policy()).toEqual(whole);
    await valkeepOn(world, "instances update orders --export-retention=30d");
    expect(await policy()).toEqual({ ...whole, retentionSeconds: 30 * 86_400 });
    await valkeepOn(world, `instances update orders --export-policy=MONTHLY --export-gcs-bucket=${onward}`);
    expect(await policy()).toEqual({ frequency: "MONTHLY", gcsBucket: onward });
  });

  it("is set by every example of the README", async () => {
    await register();
    const readme = await readFile(join(import.meta.dirname, "../../README.md"), "utf8");
    const lines = readme.replaceAll(/\\\n\s*/g, "").matchAll(/^npx valkeep (instances update orders --.*export-.*)$/gm);
    const found = [];
    for (const [, line = ""] of lines) {
      expect(await valkeepOn(world, line)).toMatchObject({ exitCode: 0 });
      found.push((await policy())?.frequency);
    }
    expect(found).toEqual(["EVERY", "WEEKLY", "MONTHLY", undefined]);
  });

  it("stays when something else is changed, and is ended by --no-export-policy", async () => {
    await register();
    await valkeepOn(world, `instances update orders ${flags}`);
    await valkeepOn(world, "instances update orders --location=asia-northeast1");
    expect(await policy()).toEqual(whole);
    expect((await valkeepOn(world, "instances update orders --no-export-policy")).exitCode).toBe(0);
    expect(await policy()).toBeUndefined();
  });

  it.each([
    ["--export-policy=weekly", 2, /it needs a bucket to export to/],
    ["--export-policy=daily --export-gcs-bucket=mine", 2, /expected every, weekly or monthly/],
    ["--export-gcs-bucket=mine", 2, /there is none to be changed/],
    ["--export-retention=90d", 2, /there is none to be changed/],
    ["--export-policy=every --export-gcs-bucket=gs://mine", 2, /--export-gcs-bucket: malformed bucket/],
    ["--export-policy=every --export-gcs-bucket=mine/folder", 2, /malformed bucket/],
    ["--export-policy=every --export-gcs-bucket=mine --export-retention=1h", 2, /out of bounds: expected 1d to 36500d/],
    ["--export-policy=every --export-gcs-bucket=mine --export-retention=90", 2, /malformed duration/],
    ["--export-policy=every --export-gcs-bucket=mine --export-onward-retention=90d", 2, /only with a bucket onward/],
    ["--export-policy=every --export-gcs-bucket=mine --export-onward-gcs-bucket=mine", 2, /names gs:\/\/mine twice/],
    ["--export-policy=every --export-gcs-bucket=mine --export-time-zone=Mars/Base", 2, /unknown time zone/],
    ["--export-policy=every --export-gcs-bucket=mine --export-onward-gcs-bucket=UP", 2, /malformed bucket/],
    ["--export-policy=every --export-gcs-bucket=mine --no-export-policy", 2, /cannot be ended and set at once/],
    [`--export-policy=every --export-gcs-bucket=${vault}`, 3, /is the vault/],
    [`--export-policy=every --export-gcs-bucket=${inbox}`, 3, /is the inbox/],
    [`--export-policy=every --export-gcs-bucket=mine --export-onward-gcs-bucket=${vault}`, 3, /is the vault/],
  ])("%s is refused", async (given, exitCode, reason) => {
    await register();
    const update = await valkeepOn(world, `instances update orders ${given}`);
    const create = await valkeepOn(world, `instances create other --endpoint=${endpoint} ${given}`);
    for (const outcome of [update, create])
      expect(outcome).toMatchObject({ exitCode, stderr: expect.stringMatching(reason) });
    expect(await policy()).toBeUndefined();
    expect(await world.ports.store.get(instanceName("other"))).toBeUndefined();
  });
});

describe("backups export", () => {
  beforeEach(async () => {
    await register();
    await valkeepOn(world, "backups create orders --backup-id=one");
  });

  it("copies onward to a second region, and describe shows both copies", async () => {
    const line = `backups export orders/one --gcs-bucket=${exports} --retention=90d --onward-gcs-bucket=${onward}`;
    const { exitCode, stdout } = await valkeepOn(world, line);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`uri: gs://${exports}/${one}`);
    expect(stdout).toContain(`onwardUri: gs://${onward}/${one}`);
    const described = await valkeepOn(world, "backups describe orders/one");
    expect(described.stdout).toContain("copies:\n- gcsBucket: exports\n");
    expect(described.stdout).toContain("location: asia-northeast2");
    const { state, copies } = JSON.parse((await valkeepOn(world, "backups describe orders/one --json")).stdout);
    expect([state, copies.length]).toEqual(["ACTIVE", 2]);
    expect(copies).toMatchObject([
      { gcsBucket: exports, location: "asia-northeast1", expireTime: expect.stringMatching(/^2026-04-01/) },
      { gcsBucket: onward, location: "asia-northeast2" },
    ]);
    expect(copies[1]).not.toHaveProperty("expireTime");
  });

  it("shows the copies of a backup that is gone", async () => {
    await valkeepOn(world, `backups export orders/one --gcs-bucket=${exports}`);
    await valkeepOn(world, "backups delete orders/one --grace=0s --confirm=delete");
    await valkeepOn(world, "sweep");
    expect(await world.ports.store.get(one)).toBeUndefined();
    const { exitCode, stdout } = await valkeepOn(world, "backups describe orders/one --json");
    expect([exitCode, JSON.parse(stdout)]).toMatchObject([0, { name: one, copies: [{ gcsBucket: exports }] }]);
    expect((await valkeepOn(world, "backups describe orders/none")).exitCode).toBe(3);
  });

  it.each([
    [`--gcs-bucket=${exports} --retention=0d`, 2, /--retention: .*out of bounds/],
    [`--gcs-bucket=${exports} --onward-retention=9d`, 2, /only with --onward-gcs-bucket/],
    [`--gcs-bucket=${exports} --onward-gcs-bucket=${exports}`, 2, /onward names the same bucket again/],
    [`--gcs-bucket=${exports} --onward-gcs-bucket=gs://${onward}`, 2, /malformed bucket/],
    [`--gcs-bucket=${exports} --onward-gcs-bucket=${vault}`, 3, /is the vault/],
    [`--gcs-bucket=${exports} --onward-gcs-bucket=nowhere`, 3, /bucket nowhere does not exist/],
    ["--gcs-bucket=nowhere", 3, /bucket nowhere does not exist/],
    [`--gcs-bucket=${onward}`, 3, /expected a regional bucket in asia-northeast1/],
  ])("with %s is refused", async (flags, exitCode, reason) => {
    const outcome = await valkeepOn(world, `backups export orders/one ${flags}`);
    expect(outcome).toMatchObject({ exitCode, stderr: expect.stringMatching(reason) });
  });

  it("that failed onward is done again by operations retry", async () => {
    const { objects } = world.ports;
    const { describe: look } = objects;
    objects.describe = async (bucket) => ({
      ...(await look(bucket)),
      ...(bucket === onward && { locationType: "multi-region" }),
    });
    const line = `backups export orders/one --gcs-bucket=${exports} --onward-gcs-bucket=${onward} --json`;
    const { exitCode, stdout } = await valkeepOn(world, line);
    expect(exitCode).toBe(3);
    objects.describe = look;
    const again = await valkeepOn(world, `operations retry ${JSON.parse(stdout).error.operation}`);
    expect([again.exitCode, objects.contents(onward, `${one}/manifest.json`)]).toEqual([0, expect.anything()]);
  });
});

it("--no-export-policy is told in the help", async () => {
  expect((await valkeep("instances update --help")).stdout).toContain("--no-export-policy");
});
