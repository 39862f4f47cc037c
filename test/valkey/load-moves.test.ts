import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { LoadMark, LoadSource } from "../../shared/pipeline/ports.ts";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { commonFingerprint } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { heldUp, loadInto, primariesOf, randomKeys } from "./cluster-load.ts";
import { atHalf, calm, firstAttempt, instanceAt, valkey } from "./fixture.ts";

/** A fourth of the keys share the slot of this tag, and stand all over the file. */
const slot = slotOf(Buffer.from("tag"));
const tagged = (n: number) => (n % 4 === 0 ? `{tag}:${n}` : `key:${n}`);

describe("a load into a cluster", () => {
  let cluster: Cluster;
  const extra: ValkeyServer[] = [];
  afterEach(async () => {
    for (const server of extra.splice(0)) await server.stop();
    await cluster?.[Symbol.asyncDispose]();
  });

  /** What a single server holds of the file. */
  async function wanted(file: LoadSource) {
    const server = await startValkey({ version: "8.0" });
    extra.push(server);
    await valkey.load(instanceAt(server.endpoint), file, firstAttempt, calm());
    return await commonFingerprint([server.endpoint]);
  }

  describe("of three shards", () => {
    beforeEach(async () => {
      cluster = await startCluster({ version: "8.0", shards: 3 });
    });

    it("follows a slot that moves meanwhile, by ASK while it is on its way and by MOVED once it is there", async () => {
      const file = await randomKeys(8_000, 1_000, tagged);
      const from = ownerOf(cluster, slot);
      const to = primariesOf(cluster).find((endpoint) => endpoint !== from) ?? "";
      await beginMove(from, to);
      const source = atHalf(slowly(file), () => endMove(cluster, from, to));
      const result = await loadInto(cluster, source);
      expect(result.databases[0]?.keys).toBe(8_000);
      const met = { ask: await errorsOf(from, "ASK"), moved: await errorsOf(from, "MOVED") };
      expect(met).toEqual({ ask: expect.toSatisfy((n) => n > 100), moved: expect.toSatisfy((n) => n > 0) });
      // Once the slots are known anew, nobody goes to the wrong node any more.
      expect(met.moved).toBeLessThan(900);
      expect(await commonFingerprint(primariesOf(cluster))).toEqual(await wanted(file));
    });

    it("goes on at the mark after a crash, with what was answered, and ends in the same data and counts", async () => {
      const file = await randomKeys(30_000, 1_000);
      const marks: LoadMark[] = [];
      const crash = atHalf(file, async () => {
        while (marks.length === 0) await sleep(5);
        throw new Error("the process died");
      });
      const crashed = loadInto(cluster, crash, { onProgress: (mark) => marks.push(mark) });
      await expect(crashed).rejects.toThrow("the process died");
      const from = JSON.parse(JSON.stringify(marks.at(-1))) as LoadMark;
      expect(from.result.databases[0]?.keys).toBeGreaterThan(1_000);
      const starts: number[] = [];
      const watched: LoadSource = {
        ...file,
        read(range, signal) {
          starts.push(range.start);
          return file.read(range, signal);
        },
      };
      const result = await loadInto(cluster, watched, { from, epoch: 2, replace: true });
      expect(starts).toEqual([from.offset]);
      expect(result).toEqual({
        databases: { 0: { keys: 30_000, expires: 10_000 } },
        expiredKeys: 0,
        soonExpiredKeys: 0,
        functions: 0,
      });
      expect(await commonFingerprint(primariesOf(cluster))).toEqual(await wanted(file));
    });

    it("ends where a slot goes to a node that has just joined, and the next attempt takes that one too", async () => {
      const file = await randomKeys(8_000, 1_000, tagged);
      const from = ownerOf(cluster, slot);
      const joined = await startValkey({ version: "8.0", args: ["--cluster-enabled", "yes"] });
      extra.push(joined);
      await send(joined.endpoint, ["CLUSTER", "MEET", "127.0.0.1", Number(from.split(":")[1])]);
      const knows = async () =>
        /cluster_state:ok.*known_nodes:4/s.test(String(await send(joined.endpoint, ["CLUSTER", "INFO"])));
      while (!(await knows()));
      await beginMove(from, joined.endpoint);
      const source = atHalf(file, () => endMove(cluster, from, joined.endpoint));
      const marks: LoadMark[] = [];
      const loading = loadInto(cluster, source, { onProgress: (mark) => marks.push(mark) });
      await expect(loading).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining(`${joined.endpoint} has become a primary`),
      });
      const from2 = marks.at(-1);
      await loadInto(cluster, file, { epoch: 2, replace: true, ...(from2 && { from: from2 }) });
      const all = [...primariesOf(cluster), joined.endpoint];
      expect(await commonFingerprint(all)).toEqual(await wanted(file));
    });
  });

  it("that a replica takes over meanwhile ends UNAVAILABLE; the next attempt loads all that the dead one may have lost", async () => {
    cluster = await startCluster({ version: "8.0", shards: 2, replicas: 1 });
    const [first] = cluster.shards;
    const replica = first?.replicas[0]?.endpoint ?? "";
    const file = await randomKeys(20_000, 1_000);
    const marks: LoadMark[] = [];
    const { source, began, goOn } = heldUp(file);
    const loading = expect(loadInto(cluster, source, { onProgress: (mark) => marks.push(mark) })).rejects.toMatchObject(
      {
        code: "UNAVAILABLE",
      },
    );
    await began;
    while (marks.length === 0) await sleep(5);
    await first?.primary.kill();
    await send(replica, ["CLUSTER", "FAILOVER", "TAKEOVER"]);
    goOn();
    await loading;
    const from = marks.at(-1);
    expect(from?.offset).toBeGreaterThan(0);
    const survivor = instanceAt(replica, { mode: "CLUSTER" });
    const again = { ...firstAttempt, epoch: 2, replace: true, ...(from && { from }) };
    expect((await valkey.load(survivor, file, again, calm())).databases[0]?.keys).toBe(20_000);
    expect(await commonFingerprint([replica, primariesOf(cluster)[1] ?? ""])).toEqual(await wanted(file));
  });

  it("that an operator lets a replica take over meanwhile ends UNAVAILABLE, too", async () => {
    cluster = await startCluster({ version: "8.0", shards: 2, replicas: 1 });
    const replica = cluster.shards[0]?.replicas[0]?.endpoint ?? "";
    const file = await randomKeys(20_000, 1_000);
    const source = atHalf(file, async () => {
      await send(replica, ["CLUSTER", "FAILOVER"]);
      while (!/role:master/.test(String(await send(replica, ["INFO", "replication"]))));
    });
    await expect(loadInto(cluster, source)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await loadInto(cluster, file, { epoch: 2, replace: true });
    expect(await commonFingerprint([replica, primariesOf(cluster)[1] ?? ""])).toEqual(await wanted(file));
  });
});

/** So that replies come while it is read, as from a bucket. */
function slowly(of: LoadSource): LoadSource {
  return {
    ...of,
    async *read(range, signal) {
      for await (const piece of of.read(range, signal)) {
        await sleep(20);
        yield piece;
      }
    },
  };
}

function ownerOf({ shards }: Cluster, wantedSlot: number): string {
  const owner = shards.find(({ firstSlot, lastSlot }) => firstSlot <= wantedSlot && wantedSlot <= lastSlot);
  return owner?.primary.endpoint ?? "";
}

async function beginMove(from: string, to: string): Promise<void> {
  const [fromId, toId] = await Promise.all([from, to].map(async (one) => String(await send(one, ["CLUSTER", "MYID"]))));
  await send(to, ["CLUSTER", "SETSLOT", slot, "IMPORTING", fromId ?? ""]);
  await send(from, ["CLUSTER", "SETSLOT", slot, "MIGRATING", toId ?? ""]);
}

async function endMove(cluster: Cluster, from: string, to: string): Promise<void> {
  const id = String(await send(to, ["CLUSTER", "MYID"]));
  await send(to, ["CLUSTER", "SETSLOT", slot, "NODE", id]);
  await send(from, ["CLUSTER", "SETSLOT", slot, "NODE", id]);
  for (const other of primariesOf(cluster))
    if (other !== from && other !== to) await send(other, ["CLUSTER", "SETSLOT", slot, "NODE", id]);
}

/** How often the node has answered with this error. */
async function errorsOf(endpoint: string, code: string): Promise<number> {
  const stats = String(await send(endpoint, ["INFO", "errorstats"]));
  return Number(new RegExp(`errorstat_${code}:count=(\\d+)`).exec(stats)?.[1] ?? 0);
}
