import type { Instance } from "../shared/backup/backup.ts";
import type { Check } from "../shared/backup/check.ts";
import type { RestoreFile, RestorePlan } from "../shared/backup/operation.ts";
import { preflight } from "../shared/backup/preflight.ts";
import type { Shape } from "../shared/backup/shape.ts";
import type { Objects, Ports } from "../shared/pipeline/ports.ts";
import { libraryNameOf } from "../shared/rdb/function-library.ts";
import { records } from "../shared/rdb/records.ts";

/** What a restore is to load. */
interface Source {
  name: string;
  files: RestoreFile[];
  /** The shape of the Backup; files from a bucket have none. */
  wanted: Shape | undefined;
  allowShrink: boolean;
}

/** What the preflight found, and what would be loaded. */
export interface Examined {
  checks: Check[];
  plan: RestorePlan;
}

/** Asks the target all that decides whether it can take the files. Changes nothing there. */
export async function examine(
  instance: Instance,
  { name, files, wanted, allowShrink }: Source,
  { valkey, objects, log }: Ports,
  signal: AbortSignal,
): Promise<Examined> {
  const target = await valkey.describe(instance, signal);
  const { runId, expiredKeys, functionCount, functionLibraries = [] } = target;
  const shardCount = target.mode === instance.mode ? await valkey.shardCount(instance, signal) : undefined;
  const libraries = functionLibraries.length > 0 ? await librariesOf(files[0], objects, signal) : undefined;
  const checks = preflight({ files, libraries, wanted, registered: instance, allowShrink, target, shardCount });
  const failed = checks.filter(({ result }) => result === "FAIL").map((check) => check.name);
  log("INFO", "examined", { instance: instance.name, failed });
  const found = { runId, expiredKeys, ...(functionCount !== undefined && { functionCount }) };
  return { checks, plan: { source: name, files, target: found, loaded: [] } };
}

/** The names of a file's function libraries; they stand before its keys, so little of it is read. */
async function librariesOf(file: RestoreFile | undefined, objects: Objects, signal: AbortSignal): Promise<string[]> {
  const names: string[] = [];
  if (file === undefined || file.functions === 0) return names;
  for await (const batch of records(objects.read(file, {}, signal)))
    for (const entry of batch) {
      if (entry.kind === "function") names.push(libraryNameOf(entry.code) ?? "");
      if (names.length === file.functions) return names;
    }
  return names;
}
