import { beforeEach, describe, expect, it } from "vitest";
import type { Operation } from "../../shared/backup/operation.ts";
import { operationIdFor } from "../../shared/pipeline/identity.ts";
import { register } from "../pipeline/registered.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const endpoint = "127.0.0.1:7001";
let world: World;

beforeEach(async () => {
  world = createWorld();
  await register(world, instanceOf("orders", endpoint));
});

const stored = async (name: string) => (await world.ports.store.get<Operation>(name))?.data;

/** Asks for a backup that nobody works at yet. */
async function begin(flags = ""): Promise<string> {
  return (await valkeep(`backups create orders --async ${flags}`, world)).stdout.trim();
}

/** A backup that has failed. */
async function fail(): Promise<string> {
  const name = await begin("--backup-id=one --request-id=first");
  await valkeepOn(world, `operations wait ${name}`);
  return name;
}

describe("operations list", () => {
  it("shows the newest first, as many as are asked for", async () => {
    await begin();
    await world.clock.advance(1_000);
    const second = await begin();
    const { stdout } = await valkeep("operations list --limit=1 --json", world);
    expect(JSON.parse(stdout).map(({ name }: Operation) => name)).toEqual([second]);
  });

  it("tells where they are or how they ended", async () => {
    await fail();
    await begin();
    const { stdout } = await valkeep("operations list", world);
    expect(stdout).toContain("at backup.v1.requested");
    expect(stdout).toContain("UNAVAILABLE");
  });
});

describe("operations describe", () => {
  it("shows the operation with its tasks", async () => {
    const name = await begin();
    const { stdout } = await valkeep(`operations describe ${name} --json`, world);
    expect(JSON.parse(stdout)).toMatchObject({ name, tasks: [{ id: "backup.v1.requested", attempt: 0, done: false }] });
  });

  it("refuses what is not there", async () => {
    expect((await valkeep("operations describe backup-1", world)).exitCode).toBe(3);
  });
});

describe("operations wait", () => {
  it("exits 0 once it is done", async () => {
    world.valkey.start(endpoint);
    const name = await begin();
    const { exitCode, stdout } = await valkeepOn(world, `operations wait ${name}`);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`name: ${name}\nverb: backup\ntarget: instances/orders\n`);
  });

  it("exits 1 where it failed and 3 where it was refused", async () => {
    const failed = await fail();
    expect((await valkeep(`operations wait ${failed}`, world)).exitCode).toBe(1);
    const refused = (await valkeep("backups create nobody --async", world)).stdout.trim();
    expect((await valkeepOn(world, `operations wait ${refused}`)).exitCode).toBe(3);
  });

  it("exits 1, not 2, where the request of a message was malformed", async () => {
    const error = { code: "INVALID_ARGUMENT", message: "not JSON" };
    const operation = { ...(await stored(await begin())), name: "operations/backup-9", done: true, error };
    await world.ports.store.commit([{ kind: "create", path: operation.name, data: operation }]);
    const { exitCode, stderr } = await valkeep("operations wait backup-9", world);
    expect([exitCode, stderr]).toEqual([1, "operations/backup-9: not JSON (INVALID_ARGUMENT)\n"]);
  });
});

describe("operations cancel", () => {
  it("ends an operation and gives back what it holds", async () => {
    const name = await begin("--backup-id=one");
    await world.deliver(world.events.take()[0] ?? expect.unreachable());
    const { exitCode, stdout } = await valkeep(`operations cancel ${name} --json`, world);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ done: true, error: { code: "CANCELLED" }, holds: [] });
    expect(await stored("backupCollections/orders/backups/one")).toBeUndefined();
  });

  it("alarms nobody", async () => {
    await valkeep(`operations cancel ${await begin()}`, world);
    expect(world.events.messages.map(({ type }) => type)).not.toContain("operation.v1.failed");
  });

  it("refuses one that has ended", async () => {
    const name = await begin();
    await valkeep(`operations cancel ${name}`, world);
    const { exitCode, stderr } = await valkeep(`operations cancel ${name}`, world);
    expect([exitCode, stderr]).toEqual([3, `${name} has ended already (FAILED_PRECONDITION)\n`]);
  });

  it("refuses what is not there", async () => {
    expect((await valkeep("operations cancel backup-1", world)).exitCode).toBe(3);
  });
});

describe("operations retry", () => {
  it("asks for the same again under another request id", async () => {
    const name = await fail();
    world.valkey.start(endpoint);
    const { exitCode, stdout } = await valkeepOn(world, `operations retry ${name} --json`);
    const again = JSON.parse(stdout) as Operation;
    expect([exitCode, again.request.data]).toMatchObject([0, { instance: "orders", backupId: "one" }]);
    expect(again.name).not.toBe(name);
    expect(again.requestId).not.toBe("first");
  });

  it("can be done again and again", async () => {
    const name = await fail();
    const names = [1, 2].map(() => valkeep(`operations retry ${name} --async`, world));
    const [one, two] = await Promise.all(names);
    expect(one?.stdout).not.toBe(two?.stdout);
  });

  it("restores a file of the inbox again, whose request has no request id", async () => {
    const data = { bucket: "inbox", object: "orders/x.rdb", generation: "1" };
    const name = `operations/${operationIdFor("object.v1.finalized", "first")}`;
    const operation = { ...(await stored(await fail())), name, request: { type: "object.v1.finalized", data } };
    await world.ports.store.commit([{ kind: "create", path: name, data: operation }]);
    const { exitCode, stdout } = await valkeep(`operations retry ${name} --async`, world);
    expect([exitCode, (await stored(stdout.trim()))?.request.data]).toEqual([0, data]);
  });

  it("refuses a request that was malformed", async () => {
    const error = { code: "INVALID_ARGUMENT", message: "not JSON" };
    const request = { type: "backup.v1.requested", data: {} };
    const operation = { ...(await stored(await begin())), name: "operations/backup-9", done: true, error, request };
    await world.ports.store.commit([{ kind: "create", path: operation.name, data: operation }]);
    const { exitCode, stderr } = await valkeep("operations retry backup-9", world);
    expect(exitCode).toBe(3);
    expect(stderr).toContain("cannot be asked again");
  });

  it("refuses one that goes on, and one that did what it was asked", async () => {
    world.valkey.start(endpoint);
    const name = await begin();
    expect((await valkeep(`operations retry ${name}`, world)).stderr).toContain("still goes on");
    await valkeepOn(world, `operations wait ${name}`);
    expect((await valkeep(`operations retry ${name}`, world)).stderr).toContain("did what it was asked");
  });
});
