import type { Check, Inspection, Verdict } from "./health.ts";
import { fault, numberOf, ok, unread } from "./health-verdict.ts";

/** A fork stops the server for as long as it takes; from here on clients notice, in microseconds. */
const slowForkMicros = 1_000_000;

/** Whether a snapshot's fork finds the memory and the time that it needs. */
export const memoryChecks = {
  "fork-headroom": forkHeadroom,
  "maxmemory-headroom": maxMemoryHeadroom,
  "fork-slow": forkTime,
} as const satisfies Record<string, Check>;

/**
 * While a child writes the snapshot, every page that is written to is copied: at worst all that counts as data, which is
 * `used_memory` less `mem_not_counted_for_evict` (buffers of replicas and the AOF, never copied for long).
 */
function forkHeadroom(node: Inspection): Verdict {
  const total = numberOf(node, "total_system_memory");
  const used = numberOf(node, "used_memory");
  const rss = numberOf(node, "used_memory_rss");
  if (!total || used === undefined || rss === undefined) return unread("total_system_memory");
  const worst = rss + used - (numberOf(node, "mem_not_counted_for_evict") ?? 0);
  const usual = rss + (numberOf(node, "rdb_last_cow_size") ?? 0);
  if (usual > total)
    return fault(
      "CRITICAL",
      `a snapshot like the last one takes ${usual} bytes of memory, the system has ${total}: the server may be killed`,
      "Back it up at a replica, or on a larger machine.",
    );
  if (worst <= total) return ok(`a snapshot takes at most ${worst} of the system's ${total} bytes of memory`);
  return fault(
    "WARNING",
    `if every key is written to during a snapshot, it takes ${worst} bytes of memory, the system has ${total}`,
    "Keep used_memory below half of the system's memory, or back it up when little is written.",
  );
}

function maxMemoryHeadroom(node: Inspection): Verdict {
  const total = numberOf(node, "total_system_memory");
  const limit = numberOf(node, "maxmemory");
  if (!total || limit === undefined) return unread("maxmemory");
  if (limit === 0) return ok("maxmemory is not set");
  if (2 * limit <= total) return ok(`maxmemory ${limit} leaves a full server room for its snapshot`);
  return fault(
    "INFO",
    `maxmemory is ${limit} of the system's ${total} bytes: once it is reached, a snapshot may not find its memory`,
    "Set maxmemory to at most half of the system's memory.",
  );
}

function forkTime(node: Inspection): Verdict {
  const micros = numberOf(node, "latest_fork_usec");
  if (micros === undefined) return unread("latest_fork_usec");
  const shown = `${Math.round(micros / 1000)} ms`;
  if (micros < slowForkMicros) return ok(`the last fork took ${shown}`);
  return fault(
    "WARNING",
    `the last fork stopped the server for ${shown}`,
    "Turn transparent huge pages off, back it up at a replica, or split it into shards.",
  );
}
