import { join } from "node:path";
import { type Contest, compete } from "./contest.ts";
import { runProgram } from "./program.ts";
import { runJob, type Source } from "./source.ts";

export const valkeep = join(import.meta.dirname, "../../infra/cli/valkeep");

/** Reading every byte of a file and its CRC64. The file is in the machine's memory for all of them. */
export async function benchCheck({ file, facts }: Source, checkRdb: readonly string[], runs: number): Promise<Contest> {
  return await compete("check a file", runs, [
    { name: "valkey-check-rdb FILE", run: async () => (await runProgram([...checkRdb, file])).seconds },
    {
      name: "valkeep rdb check FILE",
      target: 0.25,
      async run() {
        const { seconds, stdout } = await runProgram([valkeep, "rdb", "check", file, "--json"]);
        requireKeys((JSON.parse(stdout) as { keys: number }).keys, facts.keys);
        return seconds;
      },
    },
    {
      name: "check(), without the start of its process",
      async run() {
        const { result, measured } = await runJob<{ keys: number }>("check", file);
        requireKeys(result.keys, facts.keys);
        return measured.seconds;
      },
    },
  ]);
}

function requireKeys(found: number, expected: number): void {
  if (found !== expected) throw new Error(`${found} keys were found in a file of ${expected}`);
}
