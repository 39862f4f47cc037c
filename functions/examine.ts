import type { Instance, Seed } from "../shared/backup/backup.ts";
import type { Check } from "../shared/backup/check.ts";
import type { FoundTarget, ReplayFile, RestoreFile, RestorePlan } from "../shared/backup/operation.ts";
import { preflight } from "../shared/backup/preflight.ts";
import { lanesInto, partsOf } from "../shared/backup/restore-plan.ts";
import type { Shape } from "../shared/backup/shape.ts";
import type { Objects, Ports, Server } from "../shared/pipeline/ports.ts";
import { libraryNameOf } from "../shared/rdb/function-library.ts";
import { records } from "../shared/rdb/records.ts";
import type { SourceFile } from "./source.ts";

/** What a restore is to load. */
interface Source {
  name: string;
  files: SourceFile[];
  /** The files of an AOF whose commands follow. */
  logs: ReplayFile[];
  /** Refuse an AOF of which something would be left out. */
  isStrict?: boolean | undefined;
  /** The shape of the Backup; files from a bucket have none. */
  wanted: Shape | undefined;
  allowShrink: boolean;
  /** How many parts are loaded at once; absent: as many as the target's shards suggest. */
  maxParallelLoads?: number | undefined;
}

/** What the preflight found, and what would be loaded. */
export interface Examined {
  checks: Check[];
  plan: RestorePlan;
  /** Of a cluster: nodes that can answer for it once its endpoint cannot. */
  seeds: Seed[];
}

/** So many nodes of a cluster are remembered beside its endpoint. */
export const mostSeeds = 8;

/** Asks the target all that decides whether it can take the files, and cuts them into parts. Changes nothing there. */
export async function examine(
  instance: Instance,
  { name, files: found, logs, isStrict, wanted, allowShrink, maxParallelLoads }: Source,
  { valkey, objects, log }: Ports,
  signal: AbortSignal,
): Promise<Examined> {
  const target = await valkey.describe(instance, signal);
  const files = found.map(({ file }) => file);
  const [slots, backups] = [found.map((one) => one.slots), found.map((one) => one.backup)];
  const { functionLibraries = [] } = target;
  const shardCount = target.mode === instance.mode ? await valkey.shardCount(instance, signal) : undefined;
  const libraries = functionLibraries.length > 0 ? await librariesOf(files[0], objects, signal) : undefined;
  const checks = preflight({
    files,
    slots,
    backups,
    logs,
    isStrict,
    libraries,
    wanted,
    registered: instance,
    allowShrink,
    target,
    shardCount,
  });
  const failed = checks.filter(({ result }) => result === "FAIL").map((check) => check.name);
  log("INFO", "examined", { instance: instance.name, failed });
  const lanes = maxParallelLoads ?? lanesInto(shardCount ?? 1);
  const parts = partsOf(
    found.map(({ file: { sizeBytes }, index }) => ({ sizeBytes, index })),
    lanes,
  );
  const counts = { askedCount: Math.min(lanes, parts.length), loadedCount: 0, loaded: [] };
  const replays = logs.filter(({ commands }) => commands > 0);
  const plan = { source: name, files: files.map(slim), parts, ...counts, target: asFound(target) };
  const primaries = (target.shards ?? []).map(({ endpoint, node }) => ({ endpoint, node }));
  const seeds = primaries.filter(({ endpoint }) => endpoint !== instance.endpoint).slice(0, mostSeeds);
  return { checks, plan: { ...plan, ...(replays.length > 0 && { replays }) }, seeds };
}

/** Types are for the preflight alone: what is left of many files has to fit into the Operation. */
function slim(file: RestoreFile): RestoreFile {
  const databases = Object.entries(file.databases).map(([database, counts]) => [database, { ...counts, types: {} }]);
  return { ...file, databases: Object.fromEntries(databases) };
}

function asFound({ ids, formerIds, runId, expiredKeys, functionCount, suspendsExpiry, shards }: Server): FoundTarget {
  return {
    ids,
    ...(formerIds && { formerIds }),
    runId,
    expiredKeys,
    ...(suspendsExpiry && { suspendsExpiry }),
    ...(functionCount !== undefined && { functionCount }),
    ...(shards && { shards: shards.map((shard) => ({ runId: shard.runId, expiredKeys: shard.expiredKeys })) }),
  };
}

/** The names of a file's function libraries; they stand before its keys, so little of it is read. */
async function librariesOf(file: RestoreFile | undefined, objects: Objects, signal: AbortSignal): Promise<string[]> {
  const names: string[] = [];
  if (file === undefined || file.functions === 0) return names;
  for await (const batch of records(objects.read(file, { end: file.sizeBytes, fleeting: true }, signal)))
    for (const entry of batch) {
      if (entry.kind === "function") names.push(libraryNameOf(entry.code) ?? "");
      if (names.length === file.functions) return names;
    }
  return names;
}
