import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkNames } from "../../shared/backup/check.ts";
import { instanceIdAt } from "../../shared/backup/instance.ts";
import { backupName, instanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { valkeep } from "../cli/terminal.ts";
import { fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { send } from "../valkey/client.ts";
import { command, holdings } from "./data.ts";
import { endAtRest, startSource } from "./source.ts";
import { openStage, type Stage } from "./stage.ts";

/** What a preflight finds on real servers: the source uses databases 0, 3 and 15, expiries and two function libraries. */
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

/** A target started with these directives, under an id of its own. */
async function target(id: string, ...args: string[]): Promise<string> {
  const { endpoint } = await stage.valkey({ version: "8.0", args });
  await stage.register(id, endpoint);
  return endpoint;
}

const restore = (instance: string, more: { dryRun?: boolean; allowShrink?: boolean } = {}) =>
  stage.done("restore.v1.requested", { instance, backup: nightly, ...more });

/** One check of an Operation, as `RESULT message`. */
function found({ checks = [] }: Operation, name: string): string {
  const check = checks.find((one) => one.name === name);
  return `${check?.result} ${check?.message}`;
}

/** Fails unless the restore, and a dry run of it, are refused by this check alone, and nothing was written. */
async function refused(instance: string, endpoint: string, name: string, reason: RegExp): Promise<void> {
  const before = await holdings(endpoint);
  const real = await restore(instance);
  const dry = await restore(instance, { dryRun: true });
  for (const operation of [real, dry]) {
    expect(operation.error).toMatchObject({ code: "FAILED_PRECONDITION", message: expect.stringMatching(reason) });
    expect(found(operation, name)).toMatch(/^FAIL/);
    expect(operation.checks).toHaveLength(checkNames.length);
  }
  expect(await holdings(endpoint)).toEqual(before);
}

describe("a target", () => {
  it("that would evict what is loaded is refused", async () => {
    const endpoint = await target("evicting", "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru");
    await refused("evicting", endpoint, "eviction", /bytes of memory are needed.*the checks of eviction fail too/);
  });

  it("with an eviction policy and room for everything is warned of, and restored", async () => {
    const endpoint = await target("roomy", "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru");
    const operation = await restore("roomy");
    expect(operation.error).toBeUndefined();
    expect(found(operation, "eviction")).toMatch(/^WARN maxmemory-policy volatile-lru drops keys once memory is short/);
    expect(await fingerprint(endpoint)).toEqual(await fingerprint(source));
  });

  it("with too few databases is refused", async () => {
    const endpoint = await target("flat", "--databases", "1");
    await refused(
      "flat",
      endpoint,
      "databases",
      /use databases 0, 3, 15, the target has 1: set `databases` to at least 16/,
    );
  });

  it("with a function library of the files is refused", async () => {
    const endpoint = await target("clashing");
    await command(
      endpoint,
      "FUNCTION",
      "LOAD",
      "#!lua name=tiny\nserver.register_function('mine', function() return 1 end)",
    );
    await refused("clashing", endpoint, "functions", /the target has 1 already, 1 of them by the same name/);
  });

  it("with another function library is warned of, restored, and counted exactly", async () => {
    const endpoint = await target("beside");
    await command(
      endpoint,
      "FUNCTION",
      "LOAD",
      "#!lua name=mine\nserver.register_function('mine', function() return 1 end)",
    );
    const operation = await restore("beside");
    expect(operation).toMatchObject({ response: { functions: 2 }, plan: { target: { functionCount: 1 } } });
    expect(found(operation, "functions")).toMatch(/^WARN .*the target has 1 already by other names/);
    expect(Object.keys((await fingerprint(endpoint)).functions).sort()).toEqual(["long", "mine", "tiny"]);
  });

  it("that holds keys is refused", async () => {
    const endpoint = await target("full");
    await send(endpoint, ["SELECT", 7], ["SET", "mine", "1"]);
    await refused("full", endpoint, "empty", /the target holds 1 keys; a restore wants an empty one/);
  });

  it("with fewer replicas than the source had is refused, unless it may shrink", async () => {
    const primary = (await stage.valkey({ version: "8.0" })).endpoint;
    await send(primary, ["SET", "key", "value"]);
    const [host = "", port = ""] = primary.split(":");
    const replica = await stage.valkey({ version: "8.0", args: ["--replicaof", host, port] });
    const replication = async () => String(await command(replica.endpoint, "INFO", "replication"));
    await until(async () => (await replication()).includes("master_link_status:up"), "the replica's link");
    await stage.register("replicated", primary);
    await stage.done("backup.v1.requested", { instance: "replicated", backupId: "one" });
    const endpoint = await target("lonely");
    const request = { instance: "lonely", backup: backupName("replicated", "one") };
    const { error } = await stage.done("restore.v1.requested", request);
    expect(error?.message).toMatch(/the Backup has replicas: 1, the target has 0; --allow-shrink permits that/);
    expect((await stage.done("restore.v1.requested", { ...request, allowShrink: true })).error).toBeUndefined();
    expect((await holdings(endpoint)).keys).toBe(1);
  });

  it("that is registered twice is restored into by one at a time", async () => {
    const { endpoint } = await stage.valkey({ version: "8.0" });
    const gate = await stage.gate(endpoint);
    for (const id of ["twin-a", "twin-b"]) await stage.register(id, gate.endpoint);
    const half = gate.shut("up", 500_000);
    const first = await stage.ask("restore.v1.requested", { instance: "twin-a", backup: nightly });
    await half;
    const { error } = await restore("twin-b");
    expect(error?.message).toBe(
      `instances/twin-b at ${gate.endpoint} is being restored by ${first}: one restore at a time; wait for it or cancel it`,
    );
    gate.open();
    expect((await stage.ended(first)).error).toBeUndefined();
    expect(await stage.ports.store.query({ collection: "endpoints" })).toEqual([]);
    expect(await fingerprint(endpoint)).toEqual(await fingerprint(source));
  });
});

describe("a user who may not CONFIG GET nor list functions", () => {
  it("restores, and is told what was not found out", async () => {
    const { endpoint } = await stage.valkey({ version: "8.0" });
    const backupGrants = ["+ping", "+info", "+psync", "+replconf", "+function|stats"];
    const restoreGrants = ["+restore", "+select", "+function|load", "+client|setname", "+client|list", "+client|kill"];
    await send(endpoint, ["ACL", "SETUSER", "loader", "on", `>${password}`, "~*", ...backupGrants, ...restoreGrants]);
    await stage.register("closed", endpoint, {
      authUser: "loader",
      authSecret: await stage.secret("loader", password),
    });
    const operation = await restore("closed");
    expect(operation.error).toBeUndefined();
    expect(found(operation, "databases")).toMatch(/^UNKNOWN .*grant \+config\|get/);
    expect(found(operation, "functions")).toMatch(/^PASS/);
    expect(await fingerprint(endpoint)).toEqual(await fingerprint(source));
  });
});

describe("a dry run", () => {
  it("that passes leaves an endpoint empty, unregistered and free", async () => {
    const { endpoint } = await stage.valkey({ version: "8.0" });
    const { exitCode, stdout, stderr } = await valkeep(
      `restores create --backup=orders/nightly --to=${endpoint} --dry-run`,
      {
        ports: stage.ports,
      },
    );
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(stdout.trimEnd().split("\n")).toHaveLength(1 + checkNames.length);
    expect(stdout).not.toMatch(/FAIL|WARN|UNKNOWN/);
    expect((await holdings(endpoint)).keys).toBe(0);
    expect(await stage.document(instanceName(instanceIdAt(endpoint)))).toBeUndefined();
    expect(await stage.ports.store.query({ collection: "endpoints" })).toEqual([]);
  });

  it("that is refused exits 3 with the same table", async () => {
    const { endpoint } = await stage.valkey({ version: "redis-7.0" });
    const { exitCode, stdout } = await valkeep(`restores create --backup=orders/nightly --to=${endpoint} --dry-run`, {
      ports: stage.ports,
    });
    expect(exitCode).toBe(3);
    expect(stdout).toMatch(/^version +FAIL +the files need RDB version 11, Redis 7\.0\.\d+ reads up to 10$/m);
    expect(await stage.document(instanceName(instanceIdAt(endpoint)))).toBeUndefined();
  });

  it("can be asked for by anybody who publishes", async () => {
    const endpoint = await target("tried");
    await stage.publish("restore.v1.requested", { instance: "tried", backup: nightly, dryRun: true });
    const operation = await stage.operation(({ target: of, done }) => of === "instances/tried" && done);
    expect(operation).toMatchObject({
      response: { instance: "instances/tried", checks: checkNames.length },
      holds: [],
    });
    expect((await holdings(endpoint)).keys).toBe(0);
    expect((await restore("tried")).error).toBeUndefined();
  });
});
