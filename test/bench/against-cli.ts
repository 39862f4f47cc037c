import { rm, stat } from "node:fs/promises";
import { rest } from "./client.ts";
import { type Contest, type Contestant, compete } from "./contest.ts";
import { type Source, takeByCli } from "./source.ts";

/** Ways to take a server's whole database, against `valkey-cli --rdb`. Each run begins without `file`, on a server at rest. */
export async function competeWithCli(
  title: string,
  { server, facts }: Source,
  { file, cli, runs }: { file: string; cli: readonly string[]; runs: number },
  others: readonly Contestant[],
): Promise<Contest> {
  const anchor: Contestant = {
    name: "valkey-cli --rdb FILE",
    async run() {
      const seconds = await takeByCli(cli, server, file);
      requireSize((await stat(file)).size, facts.sizeBytes);
      return seconds;
    },
  };
  return await compete(title, runs, [anchor, ...others], async () => {
    await rm(file, { force: true });
    await rest(server.endpoint);
  });
}

/** Files of the same database differ by a few bytes: the time and the memory used stand in them. */
export function requireSize(found: number, expected: number): void {
  if (Math.abs(found - expected) > 1000) throw new Error(`the snapshot has ${found} bytes, expected about ${expected}`);
}
