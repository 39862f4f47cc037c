import { expect, it } from "vitest";
import { checkMigration } from "../../shared/backup/compatibility.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { addressOf } from "../../shared/valkey/address.ts";
import { replicate } from "../../shared/valkey/snapshot/replication.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { send } from "./client.ts";
import { calm, instanceAt, signal, sourceOf } from "./fixture.ts";

it("a file that was taken in the midst of a slot migration says so, and no restore takes it", async () => {
  // The migration waits for a node that stands still: nobody shall take it for dead meanwhile.
  await using cluster = await startCluster({ version: "9.1", shards: 2, args: ["--cluster-node-timeout", "60000"] });
  const file = await whileSlotsMove(cluster, async (endpoint) => {
    const address = await addressOf(instanceAt(endpoint), async () => "");
    return await collect(replicate(address, calm()));
  });
  const { facts } = await sourceOf(file);
  expect(facts).toMatchObject({ magic: "VALKEY", rdbVersion: 80, crc64: "ok", slotImports: 1 });
  expect(checkMigration([facts])).toMatchObject({ result: "FAIL" });
});

/** The slots 0 to 100 are on their way from the first shard to the second, and stay there while this runs. */
async function whileSlotsMove<T>(cluster: Cluster, act: (importing: string) => Promise<T>): Promise<T> {
  const [from, to] = cluster.shards.map(({ primary }) => primary);
  if (from === undefined || to === undefined) throw new Error("the cluster has no two shards");
  const id = String(await send(to.endpoint, ["CLUSTER", "MYID"]));
  await send(from.endpoint, ["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, 100, "NODE", id]);
  const migrations = async () => String(await send(to.endpoint, ["CLUSTER", "GETSLOTMIGRATIONS"]));
  await expect.poll(migrations, { interval: 1 }).toContain("IMPORT");
  signal(from, "SIGSTOP");
  try {
    expect(await migrations()).toMatch(/receiving|waiting/);
    return await act(to.endpoint);
  } finally {
    signal(from, "SIGCONT");
  }
}
