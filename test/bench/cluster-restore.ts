import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileSource } from "../../infra/cli/file-source.ts";
import type { LoadResult, LoadStretch } from "../../shared/pipeline/ports.ts";
import type { Checkpoint } from "../../shared/rdb/reader.ts";
import { records } from "../../shared/rdb/records.ts";
import { markAt } from "../../shared/rdb/stretch.ts";
import { slotOf } from "../../shared/valkey/slot.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { command, countKeys } from "./client.ts";
import { compete } from "./contest.ts";
import { runProgram } from "./program.ts";
import { writeRoutedCommands } from "./restore-commands.ts";
import { runJob, type Source } from "./source.ts";
import { contestTable, memoryTable } from "./table.ts";

const SHARDS = 3;
/** Into how many parts the file is cut, each of them loaded by a process of its own. */
const PARTS = 4;
/** What a function's memory must stay below. */
const MEMORY_BYTES = 256e6;

/** Filling a cluster: by one load, by four side by side, and by a `valkey-cli --pipe` for each node, its commands routed beforehand. */
export async function benchClusterRestore(
  { file, facts, factsFile }: Source,
  folder: string,
  cli: readonly string[],
  runs: number,
): Promise<string> {
  await using cluster = await startCluster({ shards: SHARDS });
  const endpoints = cluster.shards.map(({ primary }) => primary.endpoint);
  const commands = endpoints.map((_, node) => join(folder, `node-${node}.resp`));
  await writeRoutedCommands(file, commands, (key) => nodeOf(cluster, slotOf(key)));
  const stretches = await cutInto(PARTS, file, facts.sizeBytes);
  const peaks = { one: 0, part: 0 };
  const requireAll = async (): Promise<void> => {
    const counts = await Promise.all(endpoints.map(countKeys));
    const keys = counts.reduce((sum, count) => sum + count, 0);
    if (keys !== facts.keys) throw new Error(`${keys} of ${facts.keys} keys were restored`);
  };
  const load = async (...part: string[]) =>
    (await runJob<LoadResult>("load", cluster.endpoint, file, factsFile, ...part)).measured.peakBytes;
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const begin = performance.now();
    await work();
    const seconds = (performance.now() - begin) / 1000;
    await requireAll();
    return seconds;
  };
  try {
    const contest = await compete(
      "cluster-restore",
      runs,
      [
        {
          name: "valkey-cli --pipe for each node",
          run: () => timed(() => Promise.all(endpoints.map((endpoint, node) => pipe(cli, endpoint, commands[node])))),
        },
        {
          name: `load in ${PARTS} processes`,
          target: 1.2,
          run: () =>
            timed(async () => {
              const all = stretches.map((stretch, part) => load(`${part}`, JSON.stringify(stretch)));
              peaks.part = Math.max(peaks.part, ...(await Promise.all(all)));
            }),
        },
        {
          name: "load in one process",
          run: () =>
            timed(async () => {
              peaks.one = Math.max(peaks.one, await load());
            }),
        },
      ],
      async () => {
        for (const endpoint of endpoints) {
          await command(endpoint, "FLUSHALL", "SYNC");
          await command(endpoint, "FUNCTION", "FLUSH", "SYNC");
        }
      },
    );
    const rows = [
      { process: "load, the whole file", bytes: [peaks.one] },
      { process: "load, each part", bytes: [peaks.part] },
    ];
    return `${contestTable(contest)}\n\n${memoryTable(["three shards"], rows, MEMORY_BYTES)}`;
  } finally {
    for (const path of commands) await rm(path, { force: true });
  }
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
