import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findValkey, type ValkeyPrograms } from "../../infra/local/valkey-programs.ts";
import { benchCheck } from "./check.ts";
import { benchClusterRestore } from "./cluster-restore.ts";
import { benchFanOutMemory, fanOutBorderBytes } from "./fan-out-memory.ts";
import { fillMixed, fillOne } from "./fill.ts";
import { benchFleet } from "./fleet.ts";
import { describeMachine } from "./machine.ts";
import { benchMemory } from "./memory.ts";
import { readOptions } from "./options.ts";
import { benchPipeline } from "./pipeline.ts";
import { benchPlan } from "./plan.ts";
import { benchRestore } from "./restore.ts";
import { say } from "./say.ts";
import { benchScan } from "./scan.ts";
import { startSite } from "./site.ts";
import { benchSnapshot } from "./snapshot.ts";
import { type Source, startSource } from "./source.ts";
import { contestTable, memoryTable } from "./table.ts";

/** The size of the one value that a database of one key holds. */
const largeValueMb = 300;

/** What a function's memory must stay below. */
const memoryLimitBytes = 200e6;

/**
 * Speed and memory beside Valkey's own programs, interleaved in one run; about a quarter of an hour, 10 GB of disk and 8 GB
 * of memory at full size: `node test/bench/main.ts [--size-mb=1000] [--runs=5] [--only=check,snapshot,scan,restore,cluster-restore,pipeline,memory,plan,fleet]`.
 * The plan and the fleet need no server and no size.
 * Exits 1 if something failed, not if a target was missed.
 */
const { sizeMb, runs, only } = readOptions(process.argv.slice(2));
const folder = await mkdtemp(join(tmpdir(), "valkeep-bench-"));
const closing: (() => Promise<unknown>)[] = [];
const tables: string[] = [];

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void leave().finally(() => process.exit(1)));

/** Stops whatever was started. */
async function close(): Promise<void> {
  for (const step of closing.splice(0).reverse()) await step();
}

async function leave(): Promise<void> {
  await close();
  await rm(folder, { recursive: true, force: true });
}

/** One that fails is told, and the others go on. */
async function measure(name: string, work: () => Promise<string>): Promise<void> {
  try {
    tables.push(await work());
  } catch (error) {
    process.exitCode = 1;
    tables.push(`${name}  FAILED: ${error instanceof Error ? error.message : error}`);
    say(`${name} failed: ${error instanceof Error ? error.stack : error}`);
  }
}

async function measureOnSite(source: Source, cli: readonly string[]): Promise<void> {
  const site = await startSite(join(folder, "stack"), { isolate: true });
  closing.push(() => site.stop());
  if (only.has("pipeline"))
    await measure("pipeline", async () => contestTable(await benchPipeline(site, source, folder, cli, runs)));
  if (!only.has("memory")) return;
  await measure("memory", async () => {
    const fill = (endpoint: string) => fillOne(endpoint, largeValueMb);
    const one = await startSource(folder, { name: "one-value", args: ["--rdbcompression", "no"], fill }, cli);
    closing.push(() => one.server.stop());
    const databases = [`${source.title}, ${source.facts.keys} keys`, `one value of ${largeValueMb} MB`];
    return memoryTable(databases, await benchMemory(site, [source, one]), memoryLimitBytes);
  });
}

/** What is compared with Valkey's own programs, on a database that is filled for it. */
async function measureBesideValkey({ cli, checkRdb }: ValkeyPrograms): Promise<void> {
  const source = await startSource(folder, { name: "mixed", fill: (endpoint) => fillMixed(endpoint, sizeMb) }, cli);
  closing.push(() => source.server.stop());
  const { title, facts } = source;
  tables.push(`${title} of RDB, ${facts.keys} keys, ${facts.expires} with an expiry; ${runs} runs`);
  if (only.has("check")) await measure("check", async () => contestTable(await benchCheck(source, checkRdb, runs)));
  if (only.has("snapshot"))
    await measure("snapshot", async () => contestTable(await benchSnapshot(source, folder, cli, runs)));
  if (only.has("scan"))
    await measure("scan", async () => {
      const { contest, note } = await benchScan(source, folder, cli, runs);
      return `${contestTable(contest)}\n${note}`;
    });
  if (only.has("restore"))
    await measure("restore", async () => contestTable(await benchRestore(source, folder, cli, runs)));
  if (only.has("pipeline") || only.has("memory")) await measureOnSite(source, cli);
  await close();
}

/** Where files and nodes are many, or a value is large: a stack with borders as close as 250 small files want them. */
async function measureFanOut(): Promise<void> {
  await measure("memory of a fan-out", async () => {
    const options = { isolate: true, borderBytes: fanOutBorderBytes };
    const site = await startSite(join(folder, "stack"), options);
    closing.push(() => site.stop());
    return await benchFanOutMemory(site);
  });
  await close();
}

async function measureAll(): Promise<void> {
  const needing = [...only].filter((name) => name !== "plan" && name !== "fleet");
  const programs = needing.length > 0 ? await findValkey() : undefined;
  const head = describeMachine(programs);
  for (const line of head) say(line);
  tables.push(head.join("\n"));
  if (programs !== undefined && needing.some((name) => name !== "cluster-restore")) await measureBesideValkey(programs);
  if (only.has("memory")) await measureFanOut();
  if (programs !== undefined && only.has("cluster-restore")) {
    const { cli } = programs;
    await measure("cluster-restore", () => benchClusterRestore({ folder, cli, sizeMb, runs }));
  }
  if (only.has("plan")) await measure("plan", () => benchPlan(runs));
  if (only.has("fleet")) await measure("fleet", benchFleet);
}

try {
  await measureAll();
  console.log(tables.join("\n\n"));
} catch (error) {
  say(`the bench failed: ${error instanceof Error ? error.stack : error}`);
  process.exitCode = 1;
} finally {
  await leave();
}
process.exit();
