import { spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileSource } from "../../infra/cli/file-source.ts";
import { sparing } from "../../infra/local/services.ts";
import type { LoadStretch } from "../../shared/pipeline/ports.ts";
import type { Checkpoint } from "../../shared/rdb/reader.ts";
import { records } from "../../shared/rdb/records.ts";
import { markAt } from "../../shared/rdb/stretch.ts";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { command, countKeys } from "./client.ts";
import { compete } from "./contest.ts";
import type { LoadRequest } from "./load.ts";
import { runProgram } from "./program.ts";
import { writeRoutedCommands } from "./restore-commands.ts";
import type { Source } from "./source.ts";
import { contestTable, memoryTable } from "./table.ts";

const SHARDS = 3;
/** Into how many parts the file is cut, each of them loaded by a process of its own. */
const PARTS = 4;
/** What a function's memory must stay below. */
const MEMORY_BYTES = 256e6;

/**
 * Filling a cluster: by one load, by four side by side, and by a `valkey-cli --pipe` for each node, its commands routed
 * beforehand. The processes of the loads are up already, as functions are that have just loaded another part.
 */
export async function benchClusterRestore(
  { file, facts }: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<string> {
  // Emptying a server takes it longer than the others of a cluster for tests would wait.
  await using cluster = await startCluster({ shards: SHARDS, args: ["--cluster-node-timeout", "60000"] });
  const endpoints = cluster.shards.map(({ primary }) => primary.endpoint);
  const commands = endpoints.map((_, node) => join(folder, `node-${node}.resp`));
  await writeRoutedCommands(file, commands, (key) => nodeOf(cluster, slotOf(key)));
  const stretches = await cutInto(PARTS, file, facts.sizeBytes);
  const loaders = await Promise.all(Array.from({ length: PARTS + 1 }, startLoader));
  const [alone, ...parts] = loaders;
  const whole = { endpoint: cluster.endpoint, mode: "cluster", file, facts } as const;
  const peaks = { one: 0, part: 0 };
  const loadInOne = async () => {
    peaks.one = (await alone?.load(whole)) ?? 0;
  };
  const loadInParts = async () => {
    const all = stretches.map((stretch, part) => parts[part]?.load({ ...whole, part, stretch }) ?? 0);
    peaks.part = Math.max(...(await Promise.all(all)));
  };
  const pipeToAll = () => Promise.all(endpoints.map((endpoint, node) => pipe(cli, endpoint, commands[node])));
  const timed = (work: () => Promise<unknown>) => async (): Promise<number> => {
    const begin = performance.now();
    await work();
    const seconds = (performance.now() - begin) / 1000;
    const counts = await Promise.all(endpoints.map(countKeys));
    const keys = counts.reduce((sum, count) => sum + count, 0);
    if (keys !== facts.keys) throw new Error(`${keys} of ${facts.keys} keys were restored`);
    return seconds;
  };
  const empty = async () => {
    for (const endpoint of endpoints) {
      await command(endpoint, "FLUSHALL", "SYNC");
      await command(endpoint, "FUNCTION", "FLUSH", "SYNC");
    }
  };
  try {
    // Unmeasured, so that all find servers that have grown, and processes that have worked, already.
    await loadInOne();
    await empty();
    await loadInParts();
    const contestants = [
      { name: "valkey-cli --pipe for each node", run: timed(pipeToAll) },
      { name: `load, ${PARTS} at once`, target: 1.2, run: timed(loadInParts) },
      { name: "load, one", run: timed(loadInOne) },
    ];
    const contest = await compete("cluster-restore", runs, contestants, empty);
    const rows = [
      { process: "load, one", bytes: [peaks.one] },
      { process: `load, each of ${PARTS}`, bytes: [peaks.part] },
    ];
    return `${contestTable(contest)}\n\n${memoryTable(["three shards"], rows, MEMORY_BYTES)}`;
  } finally {
    for (const loader of loaders) loader.stop();
    for (const path of commands) await rm(path, { force: true });
  }
}

/** A process of its own for loads, set up as a function's is. */
async function startLoader(): Promise<{ load(request: LoadRequest): Promise<number>; stop(): void }> {
  const program = join(import.meta.dirname, "loader.ts");
  const env = { ...process.env, ...sparing.environment };
  const child = spawn(process.execPath, [...sparing.flags, program], { stdio: ["ignore", "pipe", "inherit"], env });
  const [port] = await once(child.stdout, "data");
  return {
    stop: () => void child.kill(),
    /** Answers the most memory that the process has ever had. */
    async load(body) {
      const response = await fetch(`http://127.0.0.1:${String(port).trim()}`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`the load failed: ${await response.text()}`);
      return ((await response.json()) as { peakBytes: number }).peakBytes;
    },
  };
}

async function pipe(cli: readonly string[], endpoint: string, stdin = ""): Promise<void> {
  const port = endpoint.split(":")[1] ?? "";
  const { stdout } = await runProgram([...cli, "-p", port, "--pipe"], { stdin });
  if (!/errors: 0,/.test(stdout)) throw new Error(`valkey-cli --pipe: ${stdout}`);
}

const nodeOf = ({ shards }: Cluster, slot: number): number => shards.findIndex(({ lastSlot }) => slot <= lastSlot);

/** As the index beside a stored file says where it can be cut. */
async function cutInto(parts: number, file: string, sizeBytes: number): Promise<LoadStretch[]> {
  const cuts: Checkpoint[] = [];
  const reading = {
    checkpointBytes: Math.ceil(sizeBytes / parts),
    onCheckpoint: (cut: Checkpoint) => cuts.push(cut),
  };
  for await (const _ of records(fileSource(file, new AbortController().signal), reading));
  const marks = [{ offset: 0, database: 0, crc64: "0".repeat(16) }, ...cuts.map(markAt)];
  return marks.map(({ offset, database, crc64 }, at) => {
    const next = marks[at + 1];
    return {
      startOffset: offset,
      ...(next !== undefined && { endOffset: next.offset }),
      database,
      crc64: { before: crc64, after: next?.crc64 ?? "" },
    };
  });
}
