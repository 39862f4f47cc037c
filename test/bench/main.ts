import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findValkey } from "../../infra/local/valkey-programs.ts";
import { benchCheck } from "./check.ts";
import { fillMixed, fillOne } from "./fill.ts";
import { benchFleet } from "./fleet.ts";
import { describeMachine } from "./machine.ts";
import { benchMemory } from "./memory.ts";
import { readOptions } from "./options.ts";
import { benchPipeline } from "./pipeline.ts";
import { benchPlan } from "./plan.ts";
import { benchRestore } from "./restore.ts";
import { say } from "./say.ts";
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
 * of memory at full size: `node test/bench/main.ts [--size-mb=1000] [--runs=5] [--only=check,snapshot,restore,pipeline,memory,plan,fleet]`.
 * The plan and the fleet need no server and no size.
 * Exits 1 if something failed, not if a target was missed.
 */
const { sizeMb, runs, only } = readOptions(process.argv.slice(2));
const folder = await mkdtemp(join(tmpdir(), "valkeep-bench-"));
const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
const tables: string[] = [];

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void close().finally(() => process.exit(1)));

async function close(): Promise<void> {
  for (const step of closing.splice(0).reverse()) await step();
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
  const site = await startSite(folder);
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
async function measureBesideValkey(): Promise<void> {
  const programs = await findValkey();
  const { cli, checkRdb } = programs;
  const head = describeMachine(programs);
  for (const line of head) say(line);
  const source = await startSource(folder, { name: "mixed", fill: (endpoint) => fillMixed(endpoint, sizeMb) }, cli);
  closing.push(() => source.server.stop());
  head.push(`${source.title} of RDB, ${source.facts.keys} keys, ${source.facts.expires} with an expiry; ${runs} runs`);
  tables.push(head.join("\n"));
  if (only.has("check")) await measure("check", async () => contestTable(await benchCheck(source, checkRdb, runs)));
  if (only.has("snapshot"))
    await measure("snapshot", async () => contestTable(await benchSnapshot(source, folder, cli, runs)));
  if (only.has("restore"))
    await measure("restore", async () => contestTable(await benchRestore(source, folder, cli, runs)));
  if (only.has("pipeline") || only.has("memory")) await measureOnSite(source, cli);
}

async function measureAlone(): Promise<void> {
  tables.push(describeMachine().join("\n"));
  if (only.has("plan")) await measure("plan", () => benchPlan(runs));
  if (only.has("fleet")) await measure("fleet", benchFleet);
}

try {
  const alone: readonly string[] = ["plan", "fleet"];
  if ([...only].some((name) => !alone.includes(name))) await measureBesideValkey();
  if ([...only].some((name) => alone.includes(name))) await measureAlone();
  console.log(tables.join("\n\n"));
} catch (error) {
  say(`the bench failed: ${error instanceof Error ? error.stack : error}`);
  process.exitCode = 1;
} finally {
  await close();
}
process.exit();
