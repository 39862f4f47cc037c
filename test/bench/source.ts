import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sparing } from "../../infra/local/services.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { RdbFacts } from "../../shared/backup/backup.ts";
import { countKeys, rest } from "./client.ts";
import type { Measured } from "./job.ts";
import { runProgram } from "./program.ts";
import { mega, say } from "./say.ts";

/** A server that holds a database, and the RDB file of it. */
export interface Source {
  server: ValkeyServer;
  /** What tables call it. */
  title: string;
  file: string;
  facts: RdbFacts;
  /** Those facts as a file. */
  factsFile: string;
}

/** Snapshots straight into the socket, at once: `valkey-cli --rdb` and we then wait for the same work of the server. */
const diskless = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];

/** Starts a server, fills it, and takes its file with `valkey-cli --rdb`. */
export async function startSource(
  folder: string,
  { name, args = [], fill }: { name: string; args?: string[]; fill: (endpoint: string) => Promise<void> },
  cli: readonly string[],
): Promise<Source> {
  const server = await startValkey({ args: [...diskless, ...args] });
  try {
    await fill(server.endpoint);
    const file = join(folder, `${name}.rdb`);
    await takeByCli(cli, server, file);
    const { result: facts } = await runJob<RdbFacts>("check", file);
    const factsFile = join(folder, `${name}.json`);
    await writeFile(factsFile, JSON.stringify(facts));
    const keys = await countKeys(server.endpoint);
    if (facts.keys !== keys) throw new Error(`the file holds ${facts.keys} keys, the server ${keys}`);
    const title = mega(facts.sizeBytes);
    say(`${name}: ${title} of RDB, ${keys} keys, ${facts.expires} of them with an expiry`);
    return { server, title, file, facts, factsFile };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** `valkey-cli --rdb FILE`; answers the seconds. */
export async function takeByCli(cli: readonly string[], server: ValkeyServer, file: string): Promise<number> {
  await rest(server.endpoint);
  return (await runProgram([...cli, "-p", `${server.port}`, "--rdb", file])).seconds;
}

/** Runs a job of ours in a process of its own, set up as a function's is; see job.ts. */
export async function runJob<T>(...args: string[]): Promise<{ seconds: number; result: T; measured: Measured<T> }> {
  const job = join(import.meta.dirname, "job.ts");
  const { seconds, stdout } = await runProgram([process.execPath, ...sparing.flags, job, ...args], {
    environment: sparing.environment,
  });
  const measured = JSON.parse(stdout) as Measured<T>;
  return { seconds, result: measured.result, measured };
}
