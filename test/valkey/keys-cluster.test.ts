import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Exchange } from "../../shared/pipeline/ports.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { send } from "./client.ts";
import { calm, firstAttempt, instanceAt, valkey } from "./fixture.ts";
import { text } from "./key-record.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await startCluster({ version: "8.0", shards: 3 });
});
afterAll(() => cluster?.[Symbol.asyncDispose]());

const options = { ...firstAttempt, database: 0, now: () => Date.now() };
const keys = Array.from({ length: 300 }, (_, n) => (n % 3 === 0 ? `{tag}:${n}` : `key:${n}`));

async function exchange(exchanges: Exchange[]): Promise<string[]> {
  const instance = instanceAt(cluster.endpoint, { mode: "CLUSTER" });
  return (await valkey.exchange(instance, exchanges, options, calm())).map(({ outcome }) => outcome);
}

/** How many keys each shard holds. */
const sizes = async () =>
  await Promise.all(cluster.shards.map(async ({ primary }) => Number(await send(primary.endpoint, ["DBSIZE"]))));

describe("keys of a cluster", () => {
  it("are written, found and taken back at the shard of each, hash tags and all", async () => {
    const created = keys.map((key) => ({ key: Buffer.from(key), from: undefined, to: text(key) }));
    expect(await exchange(created)).toEqual(keys.map(() => "DONE"));
    const held = await sizes();
    expect(held.reduce((sum, size) => sum + size)).toBe(300);
    expect(Math.min(...held)).toBeGreaterThan(30);
    expect(await exchange(created)).toEqual(keys.map(() => "ALREADY"));
    const found = new Set<number>();
    const instance = instanceAt(cluster.endpoint, { mode: "CLUSTER" });
    const wanted = keys.map((key) => Buffer.from(key));
    for await (const { index, bytes } of valkey.dump(instance, 0, wanted, calm())) {
      found.add(index);
      expect(Buffer.from(bytes).subarray(1).toString()).toBe(keys[index]);
    }
    expect(found.size).toBe(300);
    const gone = keys.map((key) => ({ key: Buffer.from(key), from: text(key).state, to: undefined }));
    expect(await exchange(gone)).toEqual(keys.map(() => "DONE"));
    expect(await sizes()).toEqual([0, 0, 0]);
  });

  it("whose slot is on its way to another node are tried again, by whoever comes next", async () => {
    const slot = Number(await send(cluster.endpoint, ["CLUSTER", "KEYSLOT", "key:1"]));
    const isOwner = ({ firstSlot, lastSlot }: Cluster["shards"][number]) => slot >= firstSlot && slot <= lastSlot;
    const owner = cluster.shards.find(isOwner)?.primary;
    const other = cluster.shards.find((shard) => !isOwner(shard))?.primary;
    if (owner === undefined || other === undefined) throw new Error("nobody serves the slot");
    const id = String(await send(other.endpoint, ["CLUSTER", "MYID"]));
    await send(owner.endpoint, ["CLUSTER", "SETSLOT", slot, "MIGRATING", id]);
    const change = [{ key: Buffer.from("key:1"), from: undefined, to: text("value") }];
    await expect(exchange(change)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/^(?!.*key:1).*slots are moving/),
    });
    await send(owner.endpoint, ["CLUSTER", "SETSLOT", slot, "STABLE"]);
    expect(await exchange(change)).toEqual(["DONE"]);
  });
});
