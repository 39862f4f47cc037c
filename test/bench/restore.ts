import { rm } from "node:fs/promises";
import { join } from "node:path";
import { startValkey } from "../../infra/local/valkey-server.ts";
import { command, countKeys } from "./client.ts";
import { type Contest, compete } from "./contest.ts";
import { runProgram } from "./program.ts";
import { writeRestoreCommands } from "./restore-commands.ts";
import { say } from "./say.ts";
import { runJob, type Source } from "./source.ts";

/** Filling an empty server, whose main thread makes the pace. */
export async function benchRestore(
  { server, file, facts, factsFile }: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<Contest> {
  const commands = join(folder, "restore.resp");
  await writeRestoreCommands(file, commands);
  const target = await startValkey();
  const requireAll = async (): Promise<void> => {
    const keys = await countKeys(target.endpoint);
    if (keys !== facts.keys) throw new Error(`${keys} of ${facts.keys} keys were restored`);
  };
  const load = async (): Promise<number> => {
    const { seconds } = await runJob("load", target.endpoint, file, factsFile);
    await requireAll();
    return seconds;
  };
  try {
    // Unmeasured, so that both find a server that has grown already; and a fast copy of something else would be worth nothing.
    await load();
    await requireSame(server.endpoint, target.endpoint);
    return await compete(
      "restore",
      runs,
      [
        {
          name: "valkey-cli --pipe < RESTOREs",
          async run() {
            const { seconds, stdout } = await runProgram([...cli, "-p", `${target.port}`, "--pipe"], {
              stdin: commands,
            });
            if (!/errors: 0,/.test(stdout)) throw new Error(`valkey-cli --pipe: ${stdout}`);
            await requireAll();
            return seconds;
          },
        },
        { name: "load", target: 1.1, run: load },
      ],
      async () => {
        await command(target.endpoint, "FLUSHALL", "SYNC");
        await command(target.endpoint, "FUNCTION", "FLUSH", "SYNC");
      },
    );
  } finally {
    await target.stop();
    await rm(commands, { force: true });
  }
}

async function requireSame(source: string, target: string): Promise<void> {
  const [wanted, found] = await Promise.all([source, target].map((endpoint) => command(endpoint, "DEBUG", "DIGEST")));
  if (String(wanted) !== String(found)) throw new Error("what was restored is not what was there");
  say("restore: DEBUG DIGEST of source and target agree");
}
