import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { rest } from "./client.ts";
import { type Contest, compete } from "./contest.ts";
import { runJob, type Source, takeByCli } from "./source.ts";

/** Receiving a server's whole database: the server's fork makes the pace. */
export async function benchSnapshot(
  { server, facts }: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<Contest> {
  const file = join(folder, "snapshot.rdb");
  const take = async (...to: string[]): Promise<number> => {
    const { seconds, result } = await runJob<number>("snapshot", server.endpoint, ...to);
    requireSize(result, facts.sizeBytes);
    return seconds;
  };
  return await compete(
    "snapshot",
    runs,
    [
      {
        name: "valkey-cli --rdb FILE",
        async run() {
          const seconds = await takeByCli(cli, server, file);
          requireSize((await stat(file)).size, facts.sizeBytes);
          return seconds;
        },
      },
      { name: "replicate, parse, CRC; to a file", target: 1.1, run: () => take(file) },
      { name: "replicate, parse, CRC; to nowhere", run: () => take() },
    ],
    async () => {
      await rm(file, { force: true });
      await rest(server.endpoint);
    },
  );
}

/** Files of the same database differ by a few bytes: the time and the memory used stand in them. */
export function requireSize(found: number, expected: number): void {
  if (Math.abs(found - expected) > 1000) throw new Error(`the snapshot has ${found} bytes, expected about ${expected}`);
}
