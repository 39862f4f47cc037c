import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { SourcePolicy } from "../../shared/backup/backup.ts";
import type { ShardSource } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { send } from "./client.ts";
import { calm, instanceAt, valkey } from "./fixture.ts";

let primary: ValkeyServer;
let replica: ValkeyServer;

beforeAll(async () => {
  [primary, replica] = await Promise.all([startValkey({ version: "8.0" }), startValkey({ version: "8.0" })]);
  await send(primary.endpoint, ["SET", "a", "1"]);
  await follow(replica);
});
afterAll(async () => {
  await Promise.all([primary?.stop(), replica?.stop()]);
});

async function follow(node: ValkeyServer): Promise<void> {
  await send(node.endpoint, ["REPLICAOF", "127.0.0.1", primary.port]);
  const isListed = async () =>
    String(await send(primary.endpoint, ["INFO", "replication"])).includes("state=online") &&
    String(await send(node.endpoint, ["INFO", "replication"])).includes("master_link_status:up");
  while (!(await isListed())) await new Promise((resolve) => setTimeout(resolve, 50));
}

async function taken(endpoint: string, source?: SourcePolicy): Promise<{ keys: number; role: string | undefined }> {
  let told: ShardSource | undefined;
  const instance = instanceAt(endpoint, source === undefined ? {} : { source });
  const file = await collect(
    valkey.snapshot(instance, { shard: 0 }, calm(), (of) => {
      told = of;
    }),
  );
  return { keys: (await check([file])).keys, role: told?.sourceRole };
}

describe("a server without cluster mode, with a replica", () => {
  it("is read where it is registered, primary or replica, unless source says otherwise", async () => {
    expect(await taken(primary.endpoint)).toEqual({ keys: 1, role: "PRIMARY" });
    expect(await taken(replica.endpoint)).toEqual({ keys: 1, role: "REPLICA" });
  });

  it.each([
    ["PREFER_REPLICA", "primary", "REPLICA"],
    ["PREFER_REPLICA", "replica", "REPLICA"],
    ["REPLICA_ONLY", "primary", "REPLICA"],
    ["REPLICA_ONLY", "replica", "REPLICA"],
    ["PRIMARY", "primary", "PRIMARY"],
    ["PRIMARY", "replica", "PRIMARY"],
  ] as const)("by %s, registered as its %s, is read from its %s", async (source, registered, role) => {
    const { endpoint } = registered === "primary" ? primary : replica;
    expect(await taken(endpoint, source)).toEqual({ keys: 1, role });
  });

  it.each([
    ["leads nowhere", async () => ({ port: 1, stop: async () => undefined })],
    ["leads to a stranger", () => startValkey({ version: "8.0" })],
  ])("is read itself where the address that its replica announces %s", async (_what, elsewhere) => {
    const other = await elsewhere();
    await send(replica.endpoint, ["CONFIG", "SET", "replica-announce-port", other.port]);
    await send(replica.endpoint, ["REPLICAOF", "NO", "ONE"]);
    await follow(replica);
    expect(await taken(primary.endpoint, "PREFER_REPLICA")).toEqual({ keys: 1, role: "PRIMARY" });
    await expect(taken(primary.endpoint, "REPLICA_ONLY")).rejects.toMatchObject({
      code: expect.stringMatching(/UNAVAILABLE|FAILED_PRECONDITION/),
      message: expect.stringContaining("source is REPLICA_ONLY"),
    });
    await send(replica.endpoint, ["CONFIG", "SET", "replica-announce-port", 0]);
    await other.stop();
  });

  it("that has none refuses REPLICA_ONLY at the plan already", async () => {
    const alone = await startValkey({ version: "8.0" });
    const instance = instanceAt(alone.endpoint, { source: "REPLICA_ONLY" });
    await expect(valkey.plan(instance, calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("add one, or set source to PREFER_REPLICA"),
    });
    await alone.stop();
  });
});
