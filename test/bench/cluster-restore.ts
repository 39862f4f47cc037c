import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startValkey } from "../../infra/local/valkey-server.ts";
import type { Backup, BackupFile } from "../../shared/backup/backup.ts";
import { backupName, fileObject, indexObject } from "../../shared/backup/name.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import type { Doc } from "../../shared/pipeline/ports.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";
import { type Cluster, startCluster } from "../fixture/cluster.ts";
import { command, countKeys } from "./client.ts";
import { type Contest, compete, median } from "./contest.ts";
import { fillMixed } from "./fill.ts";
import { type LoadInstances, startLoadInstances } from "./load-instances.ts";
import { runProgram } from "./program.ts";
import { writeRoutedCommands } from "./restore-commands.ts";
import { mega, say } from "./say.ts";
import { type Site, startSite } from "./site.ts";
import { contestTable, memoryTable } from "./table.ts";

const SHARDS = 3;

/** Into how many parts the file is cut, each of them loaded by an instance of its own. */
const PARTS = 4;

/** How long what has planned a restore may still be at work. */
const PLAN_REST_MS = 500;

/** What a function's memory must stay below. */
const MEMORY_BYTES = 256e6;

export interface ClusterRestoreOptions {
  folder: string;
  cli: readonly string[];
  /** About the size of the file, in 10^6 bytes. */
  sizeMb: number;
  runs: number;
}

/**
 * Filling a cluster from a backup: by four invocations of `load` at once, each in an instance of its own or all in one, by one
 * invocation, and by a `valkey-cli --pipe` for each node, its commands routed beforehand. Plans and Tasks are the pipeline's own, made before the clock starts; what is measured is from the
 * first request at a `load`'s URL to the last answer, claim, download and commit included. Each restore is then verified by the
 * pipeline.
 */
export async function benchClusterRestore(options: ClusterRestoreOptions): Promise<string> {
  const { folder, cli, sizeMb, runs } = options;
  const closing: (() => Promise<unknown>)[] = [];
  try {
    // A little more than a quarter, as the file may be a little larger than it was asked for.
    const borderBytes = Math.ceil((sizeMb * 1.01e6) / PARTS);
    const site = await startSite(join(folder, "cluster-stack"), { borderBytes });
    closing.push(() => site.stop());
    const { cut, whole, file } = await takeBackups(site, sizeMb);
    // Emptying a server takes it longer than the others of a cluster for tests would wait.
    const cluster = await startCluster({ shards: SHARDS, args: ["--cluster-node-timeout", "60000"] });
    closing.push(async () => await cluster[Symbol.asyncDispose]());
    await site.register("cluster", cluster.endpoint, { mode: "cluster" });
    const commands = cluster.shards.map((_, node) => join(folder, `node-${node}.resp`));
    closing.push(() => Promise.all(commands.map((path) => rm(path, { force: true }))));
    await writeRoutedCommands(readOf(site, cut, file), commands, (key) => nodeOf(cluster, slotOf(key)));
    const instances = await startLoadInstances(site, PARTS);
    closing.push(() => instances.stop());
    const restore = (backup: string, parts: number, among: number) => restored(site, instances, backup, parts, among);
    // Unmeasured, so that all find servers that have grown, and processes that have worked, already.
    await restore(cut, PARTS, PARTS);
    const endpoints = cluster.shards.map(({ primary }) => primary.endpoint);
    const contestants = [
      { name: "valkey-cli --pipe for each node", run: () => piped(cli, endpoints, commands, file.keys) },
      { name: `load, ${PARTS} invocations, an instance each`, target: 1.2, run: () => restore(cut, PARTS, PARTS) },
      { name: `load, ${PARTS} invocations of one instance`, target: 1.2, run: () => restore(cut, PARTS, 1) },
      { name: "load, one invocation", run: () => restore(whole, 1, 1) },
    ];
    const contest = await compete("cluster-restore", runs, contestants, () => empty(endpoints));
    const head = `${mega(file.sizeBytes)} of RDB, ${file.keys} keys, into a cluster of ${SHARDS} shards; ${runs} runs`;
    const rows = [{ process: "each instance of load", bytes: [instances.peakBytes()] }];
    const memory = memoryTable([`${SHARDS} shards`], rows, MEMORY_BYTES);
    return [`${head}\n${contestTable(contest)}\n${besideOne(contest)}`, memory].join("\n\n");
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/**
 * Two backups of one server, which is gone then: `cut` has an index by which its file is loaded in four parts; `whole` has lost its
 * index, so that its file is one.
 */
async function takeBackups(site: Site, sizeMb: number): Promise<{ cut: string; whole: string; file: BackupFile }> {
  const source = await startValkey();
  try {
    await fillMixed(source.endpoint, sizeMb, 1);
    await site.register("source", source.endpoint);
    const [cut, whole] = [await backup(site, "cut"), await backup(site, "whole")];
    const { vaultBucket: bucket } = site.ports.settings;
    const index = await site.ports.objects.stat(bucket, indexObject(whole, 0));
    if (index === undefined) throw new Error(`${whole} has no index`);
    await site.ports.objects.remove(index);
    const [file] = (await site.ports.store.get<Backup>(cut))?.data.backupFiles ?? [];
    if (file === undefined) throw new Error(`${cut} has no file`);
    say(`two backups of ${mega(file.sizeBytes)}, ${file.keys} keys`);
    return { cut, whole, file };
  } finally {
    await source.kill();
  }
}

async function backup(site: Site, backupId: string): Promise<string> {
  await site.done("backup.v1.requested", { instance: "source", backupId });
  return backupName("source", backupId);
}

function readOf({ ports }: Site, backup: string, { generation }: BackupFile): AsyncIterable<Uint8Array> {
  return ports.objects.read({ bucket: ports.settings.vaultBucket, object: fileObject(backup, 0), generation });
}

/** Restores a backup; answers how many seconds its parts took, from the first request to the last answer. */
async function restored(
  site: Site,
  instances: LoadInstances,
  backup: string,
  parts: number,
  among: number,
): Promise<number> {
  const asked = { instance: "cluster", backup, maxParallelLoads: parts };
  const operation = await submit(site.ports, "restore.v1.requested", asked);
  const tasks = await planned(site, operation);
  if (tasks.length !== parts) throw new Error(`${backup} is loaded in ${tasks.length} parts, expected ${parts}`);
  // The step that has planned them is seen before it is over.
  await sleep(PLAN_REST_MS);
  const begin = performance.now();
  await instances.deliver(tasks, among);
  const seconds = (performance.now() - begin) / 1000;
  await site.ended(operation);
  return seconds;
}

/** The Tasks of the parts, once there is a plan. */
async function planned({ ports }: Site, name: string): Promise<Doc<Task>[]> {
  for (;;) {
    const operation = (await ports.store.get<Operation>(name))?.data;
    if (operation?.error !== undefined) throw new Error(`${name}: ${operation.error.message}`);
    if (operation?.plan !== undefined) break;
    await sleep(20);
  }
  const tasks = await ports.store.query<Task>({ collection: `${name}/tasks` });
  return tasks.filter(({ data }) => data.type === "part.v1.requested");
}

async function piped(cli: readonly string[], endpoints: string[], commands: string[], keys: number): Promise<number> {
  const begin = performance.now();
  await Promise.all(endpoints.map((endpoint, node) => pipe(cli, endpoint, commands[node] ?? "")));
  const seconds = (performance.now() - begin) / 1000;
  const counts = await Promise.all(endpoints.map(countKeys));
  const found = counts.reduce((sum, count) => sum + count, 0);
  if (found !== keys) throw new Error(`${found} of ${keys} keys were restored`);
  return seconds;
}

async function pipe(cli: readonly string[], endpoint: string, stdin: string): Promise<void> {
  const port = endpoint.split(":")[1] ?? "";
  const { stdout } = await runProgram([...cli, "-p", port, "--pipe"], { stdin });
  if (!/errors: 0,/.test(stdout)) throw new Error(`valkey-cli --pipe: ${stdout}`);
}

async function empty(endpoints: readonly string[]): Promise<void> {
  for (const endpoint of endpoints) {
    await command(endpoint, "FLUSHALL", "SYNC");
    await command(endpoint, "FUNCTION", "FLUSH", "SYNC");
  }
}

const nodeOf = ({ shards }: Cluster, slot: number): number => shards.findIndex(({ lastSlot }) => slot <= lastSlot);

function besideOne({ entries }: Contest): string {
  const [, several = Number.NaN, , one = Number.NaN] = entries.map(({ seconds }) => median(seconds));
  return `${PARTS} invocations, an instance each, take ${(several / one).toFixed(2)} of the time of one`;
}
