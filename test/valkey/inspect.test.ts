import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { health, healthKinds } from "../../shared/backup/health.ts";
import { createMemoryValkey } from "../../shared/memory/valkey.ts";
import type { Valkey } from "../../shared/pipeline/ports.ts";
import { check } from "../../shared/rdb/check.ts";
import { send } from "./client.ts";
import { calm, instanceAt, snapshotOf, valkey } from "./fixture.ts";

const password = "sesame";
let server: ValkeyServer;

beforeAll(async () => {
  server = await startValkey({ version: "8.0", password, args: ["--save", "3600 1"] });
  const withPassword = (...words: string[]) => send(server.endpoint, ["AUTH", password], words);
  await withPassword("ACL", "SETUSER", "watcher", "on", `>${password}`, "-@all", "+ping", "+info", "+config|get");
  await withPassword("ACL", "SETUSER", "blind", "on", `>${password}`, "-@all", "+ping", "+info");
  await withPassword("ACL", "SETUSER", "nobody", "on", `>${password}`, "-@all", "+ping");
});
afterAll(() => server?.stop());

const as = (authUser: string) => instanceAt(server.endpoint, { authUser, authSecret: `secret:${password}` });
const faultsOf = async (port: Valkey, instance = as("watcher")) =>
  health(await port.inspect(instance, calm()))
    .filter(({ state }) => state !== "OK")
    .map(({ kind }) => kind);

describe.each([
  ["a real server", () => valkey],
  [
    "a server in memory",
    () => {
      const memory = createMemoryValkey();
      memory.start(server.endpoint);
      return memory;
    },
  ],
])("%s", (_name, port) => {
  it("tells all that health needs, and is in good health", async () => {
    const inspections = await port().inspect(as("watcher"), calm());
    expect(inspections.map(({ endpoint }) => endpoint)).toEqual([server.endpoint]);
    expect(health(inspections).map(({ kind, state }) => ({ kind, state }))).toEqual(
      healthKinds.map((kind) => ({ kind, state: "OK" })),
    );
  });

  it("that does not answer is UNAVAILABLE", async () => {
    await expect(port().inspect(instanceAt("127.0.0.1:1"), calm())).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("a real server", () => {
  it("that keeps CONFIG from us gives the other findings and one that says so", async () => {
    expect(await faultsOf(valkey, as("blind"))).toContain("config-unread");
    const { info, config } = (await valkey.inspect(as("blind"), calm()))[0] ?? {};
    expect([info?.rdb_last_bgsave_status, config]).toEqual(["ok", {}]);
  });

  it("that keeps INFO from us is PERMISSION_DENIED", async () => {
    await expect(valkey.inspect(as("nobody"), calm())).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
  });

  it("that cannot save says so, until it can again", async () => {
    const withPassword = (...words: string[]) => send(server.endpoint, ["AUTH", password], words);
    const saved = async () => {
      await withPassword("BGSAVE");
      await sleep(500);
    };
    await mkdir(join(server.directory, "dump.rdb", "in-the-way"), { recursive: true });
    await saved();
    expect(await faultsOf(valkey)).toEqual(["bgsave-failed"]);
    await rm(join(server.directory, "dump.rdb"), { recursive: true });
    await saved();
    expect(await faultsOf(valkey)).toEqual([]);
  });
});

describe("a server that cannot save, and so refuses PING and all writes", () => {
  let failing: ValkeyServer;
  beforeAll(async () => {
    failing = await startValkey({ version: "8.0", args: ["--save", "3600 1"] });
    await send(failing.endpoint, ["SET", "key", "value"]);
    await mkdir(join(failing.directory, "dump.rdb", "in-the-way"), { recursive: true });
    await send(failing.endpoint, ["BGSAVE"]);
    await sleep(500);
    await expect(send(failing.endpoint, ["PING"])).rejects.toThrow("MISCONF");
  });
  afterAll(() => failing?.stop());

  it("says so", async () => {
    expect(await faultsOf(valkey, instanceAt(failing.endpoint))).toEqual(["bgsave-failed"]);
  });

  it("is described and gives a snapshot all the same: now it is needed most", async () => {
    const { databases } = await valkey.describe(instanceAt(failing.endpoint), calm());
    expect(databases).toEqual({ "0": { keys: 1, expires: 0 } });
    expect((await check([await snapshotOf(failing.endpoint)])).keys).toBe(1);
  });
});
