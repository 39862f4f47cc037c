import { join } from "node:path";
import { competeWithCli, requireSize } from "./against-cli.ts";
import { type Contest, median } from "./contest.ts";
import { mega } from "./say.ts";
import { runJob, type Source } from "./source.ts";

/** Keys that a scan is to read in a second. */
const keysAim = 150_000;

/** A contest, and what a ratio of seconds does not say. */
export interface ScanBench {
  contest: Contest;
  note: string;
}

/** Reading a server's whole database by SCAN and DUMP, beside the replication protocol: the server makes the pace of both. */
export async function benchScan(
  source: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<ScanBench> {
  const { server, facts } = source;
  const file = join(folder, "scan.rdb");
  const rates: number[] = [];
  let peakBytes = 0;
  const contest = await competeWithCli("scan", source, { file, cli, runs }, [
    {
      name: "scan, parse, CRC; to a file",
      target: 2.2,
      async run() {
        const { seconds, result, measured } = await runJob<number>("scan", server.endpoint, file);
        requireSize(result, facts.sizeBytes);
        rates.push(facts.keys / measured.seconds);
        peakBytes = Math.max(peakBytes, measured.peakBytes);
        return seconds;
      },
    },
  ]);
  const rate = median(rates);
  const isMet = rate >= keysAim ? "met" : "MISSED";
  const note = `scan: ${Math.round(rate / 1000)} thousand keys/s (${isMet}, ≥ ${keysAim / 1000}), peak resident ${mega(peakBytes)}`;
  return { contest, note };
}
