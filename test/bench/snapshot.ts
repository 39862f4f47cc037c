import { join } from "node:path";
import { competeWithCli, requireSize } from "./against-cli.ts";
import type { Contest } from "./contest.ts";
import { runJob, type Source } from "./source.ts";

/** Receiving a server's whole database: the server's fork makes the pace. */
export async function benchSnapshot(
  source: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<Contest> {
  const { server, facts } = source;
  const file = join(folder, "snapshot.rdb");
  const take = async (...to: string[]): Promise<number> => {
    const { seconds, result } = await runJob<number>("snapshot", server.endpoint, ...to);
    requireSize(result, facts.sizeBytes);
    return seconds;
  };
  return await competeWithCli("snapshot", source, { file, cli, runs }, [
    { name: "replicate, parse, CRC; to a file", target: 1.1, run: () => take(file) },
    { name: "replicate, parse, CRC; to nowhere", run: () => take() },
  ]);
}
