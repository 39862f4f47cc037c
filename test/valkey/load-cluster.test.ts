import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey } from "../../infra/local/valkey-server.ts";
import type { LoadOptions, LoadSource } from "../../shared/pipeline/ports.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { type CommonFingerprint, commonFingerprint, fillOneDatabase } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { atHalf, calm, diskless, firstAttempt, instanceAt, snapshotOf, sourceOf, valkey } from "./fixture.ts";

let cluster: Cluster;
/** Every type, and what it is. */
let file: LoadSource;
let original: CommonFingerprint;
/** 60,000 keys of 100 bytes. */
let many: LoadSource;

beforeAll(async () => {
  const source = await startValkey({ version: "8.0", args: diskless });
  try {
    await fillOneDatabase(source.endpoint);
    file = await sourceOf(await snapshotOf(source.endpoint));
    original = await commonFingerprint([source.endpoint]);
    await send(source.endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"], ["DEBUG", "POPULATE", 60_000, "key", 100]);
    many = await sourceOf(await snapshotOf(source.endpoint));
    cluster = await startCluster({ version: "8.0", shards: 3, args: diskless });
  } finally {
    await source.stop();
  }
});
afterAll(() => cluster?.[Symbol.asyncDispose]());
beforeEach(() => emptied(cluster));

describe("a load into a cluster", () => {
  it("brings every key to its shard, and the functions to each, counted once", async () => {
    const result = await load(file);
    expect(await commonFingerprint(primaries())).toEqual(original);
    const counts = { keys: 649, expires: 206 };
    expect(result).toEqual({ databases: { 0: counts }, expiredKeys: 0, soonExpiredKeys: 0, functions: 2 });
  });

  it("begins at any node, a replica too", async () => {
    const replica = await cluster.addReplica(primaries()[1] ?? "");
    const knows = async () => /slots_ok:16384/.test(String(await send(replica.endpoint, ["CLUSTER", "INFO"])));
    while (!(await knows())) await sleep(50);
    await valkey.load(instanceAt(replica.endpoint, { mode: "CLUSTER" }), file, firstAttempt, calm());
    expect(await commonFingerprint(primaries())).toEqual(original);
  });

  it("is refused where the file fills several databases, before anything is written", async () => {
    const { databases } = file.facts;
    const facts = { ...file.facts, databases: { ...databases, 3: { keys: 1, expires: 0, types: {} } } };
    await expect(load({ ...file, facts })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("one database"),
    });
  });

  it("kills the attempt before it at every node, and lets other parts of the operation be", async () => {
    const { source, began, goOn } = heldUp(many);
    const zombie = expect(load(source, { epoch: 3, replace: true })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const other = heldUp(many);
    const neighbour = load(other.source, { part: 1, epoch: 1, replace: true });
    await Promise.all([began, other.began]);
    await load(many, { epoch: 4, replace: true });
    goOn();
    other.goOn();
    await zombie;
    expect((await neighbour).databases).toEqual({ 0: { keys: 60_000, expires: 0 } });
  });
});

function load(source: LoadSource, changes: Partial<LoadOptions> = {}, into = cluster) {
  return valkey.load(instanceAt(into.endpoint, { mode: "CLUSTER" }), source, { ...firstAttempt, ...changes }, calm());
}

function primaries(of = cluster): string[] {
  return of.shards.map(({ primary }) => primary.endpoint);
}

async function emptied(one: Cluster): Promise<void> {
  for (const endpoint of primaries(one))
    await send(endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"], ["CONFIG", "RESETSTAT"]);
}

/** Its second half comes only when it is told to. */
function heldUp(of: LoadSource) {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const source = atHalf(of, async () => {
    reached.resolve();
    await released.promise;
  });
  return { source, began: reached.promise, goOn: released.resolve };
}
