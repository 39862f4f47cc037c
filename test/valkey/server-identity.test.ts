import { afterEach, beforeEach, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { endOperation } from "../../shared/pipeline/submit.ts";
import { until } from "../fixture/until.ts";
import { fill, register } from "../pipeline/registered.ts";
import { first, requested } from "../pipeline/requested.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { send } from "./client.ts";
import { calm, instanceAt, valkey } from "./fixture.ts";

/** The pipeline in memory; what its servers are known by is what real ones tell, when they are asked. */
let world: World;
let primary: ValkeyServer;
let replica: ValkeyServer;
/** Two ways to the primary. */
const ways = () => ({ primary: primary.endpoint, other: `localhost:${primary.port}` });

beforeEach(async () => {
  world = createWorld();
  [primary, replica] = await Promise.all([startValkey({ version: "8.0" }), startValkey({ version: "8.0" })]);
  fill(world.valkey.start("127.0.0.1:1"), 12);
  await register(world, instanceOf("orders", "127.0.0.1:1"));
  await requested(world, "backup.v1.requested", { instance: "orders", backupId: "nightly" });
  for (const [id, endpoint] of Object.entries({ ...ways(), replica: replica.endpoint })) {
    world.valkey.start(endpoint);
    await register(world, instanceOf(id, endpoint));
  }
  await told();
}, 30_000);

afterEach(async () => {
  await Promise.all([primary.stop(), replica.stop()]);
});

/** What each of them is known by now. */
async function told(): Promise<void> {
  for (const endpoint of [...Object.values(ways()), replica.endpoint]) {
    const { ids, formerIds } = await valkey.describe(instanceAt(endpoint), calm());
    const server = world.valkey.servers.get(endpoint);
    if (server !== undefined) server.answers = { ids, ...(formerIds && { formerIds }) };
  }
}

/** Has the replica follow the primary, under a name for it. */
async function follow(host: string): Promise<void> {
  await send(replica.endpoint, ["REPLICAOF", host, primary.port]);
  const info = async () => String(await send(replica.endpoint, ["INFO", "replication"]));
  await until(async () => (await info()).includes("master_link_status:up"), "the replica to be in sync");
  await told();
}

/** The first step of it. */
const restore = async (instance: string): Promise<Operation | undefined> =>
  await first(world, "restore.v1.requested", { instance, backup: backupName("orders", "nightly") });
const backUp = async (instance: string): Promise<Operation | undefined> =>
  await first(world, "backup.v1.requested", { instance, backupId: "half" });

const refusal = (message: RegExp) => ({ code: "FAILED_PRECONDITION", message: expect.stringMatching(message) });
const isRestored = refusal(/is being restored by .* under another name/);
const isRead = refusal(/is being backed up by .* under another name/);

it("a replica is not backed up while its primary is restored into, nor the primary restored into the other way round", async () => {
  await follow("localhost");
  const writer = await restore("primary");
  expect(writer?.done).toBe(false);
  expect((await backUp("replica"))?.error).toEqual(isRestored);
  await world.settle();
  const reader = await backUp("replica");
  expect(reader?.done).toBe(false);
  world.valkey.servers.get(primary.endpoint)?.shards[0]?.clear();
  expect((await restore("primary"))?.error).toEqual(isRead);
});

it("a replica that has joined in the midst of a restore into its primary is not backed up, either", async () => {
  const writer = await restore("primary");
  expect(writer?.done).toBe(false);
  await follow("127.0.0.1");
  expect((await backUp("replica"))?.error).toEqual(isRestored);
});

it("a server that starts anew in the midst of a restore is neither restored into nor backed up by another address", async () => {
  const writer = await restore("primary");
  expect(writer?.done).toBe(false);
  const { port } = primary;
  await primary.kill();
  primary = await startValkey({ version: "8.0", port });
  expect(primary.port).toBe(port);
  await told();
  expect((await restore("other"))?.error).toEqual(isRestored);
  expect((await backUp("other"))?.error).toEqual(isRestored);
});

it("a replica that is promoted in the midst of a restore into its primary is neither restored into nor backed up", async () => {
  await follow("localhost");
  const writer = await restore("primary");
  expect(writer?.done).toBe(false);
  await send(replica.endpoint, ["REPLICAOF", "NO", "ONE"]);
  await told();
  expect((await restore("replica"))?.error).toEqual(isRestored);
  expect((await backUp("replica"))?.error).toEqual(isRestored);
});

it("a copy that was cut loose is restored into while its former primary is backed up, and the other way round", async () => {
  await follow("localhost");
  await send(replica.endpoint, ["REPLICAOF", "NO", "ONE"]);
  await told();
  for (const [one, other] of [
    [() => restore("replica"), () => backUp("primary")],
    [() => backUp("primary"), () => restore("replica")],
    [() => backUp("replica"), () => restore("primary")],
  ] as const) {
    const both = [await one(), await other()];
    expect(both.map((begun) => [begun?.done, begun?.error])).toEqual([
      [false, undefined],
      [false, undefined],
    ]);
    for (const begun of both)
      await endOperation(world.ports, begun?.name ?? "", new StatusError("CANCELLED", "by hand"), true);
  }
});

it("two servers have nothing in common", async () => {
  const [one, other] = [primary, replica].map(({ endpoint }) => world.valkey.servers.get(endpoint)?.answers.ids ?? []);
  expect(one).not.toEqual([]);
  expect(one?.filter((id) => other?.includes(id))).toEqual([]);
});
