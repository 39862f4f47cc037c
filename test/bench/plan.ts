import { startSimulatedCluster } from "../fixture/simulated-cluster.ts";
import { median } from "./contest.ts";
import type { Usage } from "./fleet/meter.ts";
import { mega, say } from "./say.ts";
import { runJob } from "./source.ts";
import { table } from "./table.ts";

/** The largest cluster that Memorystore has. */
const shards = 250;

const limits = { seconds: 1, writes: 1_000, peakBytes: 256e6 };

/**
 * A cluster of 250 shards, a replica each, that is only simulated: how long its planning takes, and what its whole Backup needs. Each
 * in a process of its own, set up as a function's is.
 */
export async function benchPlan(runs: number): Promise<string> {
  await using cluster = await startSimulatedCluster(shards);
  const seconds: number[] = [];
  let planPeak = 0;
  for (let run = 0; run < runs; run++) {
    const { measured } = await runJob<number>("plan", cluster.endpoint);
    if (measured.result !== shards) throw new Error(`${measured.result} shards were planned`);
    seconds.push(measured.seconds);
    planPeak = Math.max(planPeak, measured.peakBytes);
  }
  say(`planned ${shards} shards ${runs} times`);
  const { result: usage, measured } = await runJob<Usage>("cluster-backup", cluster.endpoint);
  say(`took a backup of ${shards} shards`);
  const verdict = (isMet: boolean, limit: string): string => `${isMet ? "met" : "MISSED"}, < ${limit}`;
  const middle = median(seconds);
  return table(
    [`a cluster of ${shards} shards, ${shards} replicas`, "FOUND", "TARGET", "EACH RUN, s"],
    [
      [
        "planning, median s",
        middle.toFixed(2),
        verdict(middle < limits.seconds, "1"),
        seconds.map((one) => one.toFixed(2)).join(" "),
      ],
      ["planning, peak resident", mega(planPeak), verdict(planPeak < limits.peakBytes, mega(limits.peakBytes)), ""],
      [
        "its Backup, Firestore writes",
        `${usage.writes}`,
        verdict(usage.writes < limits.writes, `${limits.writes}`),
        "",
      ],
      ["its Backup, Firestore reads", `${usage.reads}`, "", ""],
      [
        "all its functions in one process, peak resident",
        mega(measured.peakBytes),
        verdict(measured.peakBytes < limits.peakBytes, mega(limits.peakBytes)),
        "",
      ],
    ],
  );
}
