import type { Backup } from "./backup.ts";
import { type Finding, fail, pass, unknown, warn } from "./check.ts";

/** How large a deployment is, in Memorystore's words. A restore pre-fills its target with the Backup's. */
export type Shape = Pick<Backup, "mode" | "nodeType" | "shardCount" | "replicaCount">;

/**
 * Memorystore's node types from the smallest on, by their writable memory: 1.12, 5.2, 10.4 and 46.4 GB
 * (cloud.google.com/memorystore/docs/valkey/instance-node-specification). Newer ones exist: an unknown one is no error.
 */
const nodeTypes: readonly string[] = ["SHARED_CORE_NANO", "STANDARD_SMALL", "HIGHMEM_MEDIUM", "HIGHMEM_XLARGE"];

/** Whether the target runs as it is registered. */
export function checkMode(registered: Shape["mode"], found: Shape["mode"]): Finding {
  if (registered === found) return pass(`the target runs as ${found}, as it is registered`);
  return fail(`the target is registered as ${registered}, but runs as ${found}: --mode corrects that`);
}

/** `found`: counted at the server; absent where it does not run as registered. `wanted`: the Backup's count. */
export function checkShards(wanted: number | undefined, found: number | undefined, allowShrink: boolean): Finding {
  if (found === undefined)
    return unknown("the target does not run in the mode it is registered in, so its shards are not counted");
  return checkCount("shards", wanted, found, allowShrink);
}

/** `found`: those that are connected now. `registered`: what was said of the target when it was registered. */
export function checkReplicas(
  wanted: number | undefined,
  found: number,
  registered: number,
  allowShrink: boolean,
): Finding {
  const finding = checkCount("replicas", wanted, found, allowShrink);
  if (finding.result !== "PASS" || found >= registered) return finding;
  return warn(`${finding.message}; it is registered with ${registered}`);
}

/** What the target is registered as: a server of one's own has no node type, its memory is checked instead. */
export function checkNodeType(
  wanted: string | undefined,
  registered: string | undefined,
  allowShrink: boolean,
): Finding {
  if (wanted === undefined) return pass("the source names no node type");
  if (registered === undefined)
    return unknown(`the Backup is of ${wanted}, the target is registered without a node type`);
  const message = `the Backup is of ${wanted}, the target is registered as ${registered}`;
  if (wanted === registered) return pass(message);
  if (!nodeTypes.includes(wanted) || !nodeTypes.includes(registered))
    return unknown(`${message}; which is larger is not known`);
  return nodeTypes.indexOf(registered) > nodeTypes.indexOf(wanted) ? pass(message) : shrunk(message, allowShrink);
}

function checkCount(what: string, wanted: number | undefined, found: number, allowShrink: boolean): Finding {
  if (wanted === undefined)
    return pass(`the target has ${what}: ${found}; files from a bucket ask for no certain number`);
  const message = `the Backup has ${what}: ${wanted}, the target has ${found}`;
  return found >= wanted ? pass(message) : shrunk(message, allowShrink);
}

const shrunk = (message: string, allowShrink: boolean): Finding =>
  allowShrink ? warn(`${message}, which allowShrink permits`) : fail(`${message}; --allow-shrink permits that`);
