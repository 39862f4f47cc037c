import type { RdbFacts } from "./backup.ts";
import { checkEviction, checkMemory } from "./capacity.ts";
import { type Check, type CheckName, checkNames, type Finding, fail, pass } from "./check.ts";
import {
  checkDatabases,
  checkFamily,
  checkFunctions,
  checkMigration,
  checkModules,
  checkRecord,
  checkVersion,
} from "./compatibility.ts";
import type { ReplayFile } from "./operation.ts";
import { checkReplay } from "./replay.ts";
import { checkMode, checkNodeType, checkReplicas, checkShards, type Shape } from "./shape.ts";
import { checkSlots } from "./slot-coverage.ts";
import type { Target } from "./target.ts";

/** All that a preflight looks at. */
export interface Preflight {
  files: readonly RdbFacts[];
  /** Of each file the slots of the shard that it was taken of, where a manifest tells. */
  slots?: readonly (string | undefined)[];
  /** Of each file the backup that it is of, where a manifest tells. */
  backups?: readonly (string | undefined)[];
  /** The files of an AOF whose commands follow. */
  logs?: readonly ReplayFile[] | undefined;
  /** What the preflight would only warn of in an AOF is refused. */
  isStrict?: boolean | undefined;
  /** The names of the function libraries that will be loaded, where somebody has looked. */
  libraries?: readonly string[] | undefined;
  /** The Backup's; absent for files from a bucket, which prescribe none. */
  wanted?: Shape | undefined;
  /** What the target was registered as. */
  registered: Shape;
  /** A target smaller than the Backup's is warned of, not refused. */
  allowShrink: boolean;
  target: Target;
  /** Counted at the target; absent where that does not run in the mode it is registered in. */
  shardCount?: number | undefined;
}

/** Whether these files can be loaded into this target: every check, those that pass too, with what was expected and found. */
export function preflight({
  files,
  slots = [],
  backups = [],
  logs = [],
  isStrict = false,
  libraries,
  wanted,
  registered,
  allowShrink,
  target,
  shardCount,
}: Preflight): Check[] {
  const findings: Record<CheckName, Finding> = {
    mode: checkMode(registered.mode, target.mode),
    role: checkRole(target),
    empty: checkEmpty(target),
    version: checkVersion(files, target),
    family: checkFamily(files, target),
    migration: checkMigration(files),
    modules: checkModules(files, target),
    functions: checkFunctions(files, libraries, target),
    databases: checkDatabases(files, target),
    slots: checkSlots(slots, backups),
    record: checkRecord(files, target),
    memory: checkMemory(files, target),
    eviction: checkEviction(files, target),
    replay: checkReplay(files, logs, isStrict, target),
    shards: checkShards(wanted?.shardCount, shardCount, allowShrink),
    replicas: checkReplicas(wanted?.replicaCount, target.replicaCount, registered.replicaCount, allowShrink),
    nodeType: checkNodeType(wanted?.nodeType, registered.nodeType, allowShrink),
  };
  return checkNames.map((name) => ({ name, ...findings[name] }));
}

/** What of it concerns single keys that go into a server which is in use. */
const selectionChecks: readonly CheckName[] = [
  ...(["mode", "role", "version", "family", "modules"] as const),
  ...(["databases", "record", "memory", "eviction"] as const),
];

/** The same for the keys of a selection: nobody asks for an empty target, or for one as large as the backup's. */
export const selectionPreflight = (given: Preflight): Check[] =>
  preflight(given).filter(({ name }) => selectionChecks.includes(name));

function checkRole({ role }: Target): Finding {
  return role === "PRIMARY" ? pass("the target is a primary") : fail("the target is a replica; name its primary");
}

function checkEmpty({ databases }: Target): Finding {
  const held = Object.values(databases).reduce((total, { keys }) => total + keys, 0);
  return held === 0
    ? pass("the target holds no keys")
    : fail(`the target holds ${held} keys; a restore wants an empty one`);
}
