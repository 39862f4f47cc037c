import { StatusError } from "../error.ts";
import type { Server } from "../pipeline/ports.ts";
import type { Address } from "./address.ts";
import { type Ask, withClient } from "./connect.ts";
import { notValkey } from "./failure.ts";
import { type Info, parseInfo } from "./info.ts";

/** `proto-max-bulk-len` where nobody has changed it (valkey.conf). */
const DEFAULT_MAX_BULK_BYTES = 536_870_912;

/**
 * The newest RDB version that a release reads, by product, from the release's major.minor on (`RDB_VERSION` in each
 * one's rdb.h). A newer one than we know of reads at least what the newest known reads.
 */
const rdbVersions: Record<Server["product"], [major: number, minor: number, rdbVersion: number][]> = {
  Valkey: [
    [9, 0, 80],
    [7, 2, 11],
  ],
  Redis: [
    [7, 4, 12],
    [7, 2, 11],
    [7, 0, 10],
    [5, 0, 9],
    [4, 0, 8],
  ],
};

/**
 * What answers at the address. A server that is loading is UNAVAILABLE. Where the ACL or an old version keeps the
 * functions or `proto-max-bulk-len` from us, they count as 0 and as the default.
 */
export function describe(address: Address, signal: AbortSignal): Promise<Server> {
  return withClient(address, signal, async (ask) => {
    const info = await askInfo(ask, address);
    const { product, version } = productOf(info);
    return {
      product,
      version,
      rdbVersion: rdbVersionOf(product, version),
      runId: info.get("run_id") ?? "",
      mode: info.get("cluster_enabled") === "1" ? "CLUSTER" : "CLUSTER_DISABLED",
      role: info.get("role") === "master" ? "PRIMARY" : "REPLICA",
      replicaCount: info.number("connected_slaves"),
      databases: info.databases,
      functionCount: countLibraries(await ifAllowed(ask("FUNCTION", "STATS"))),
      moduleCount: info.moduleCount,
      usedMemoryBytes: info.number("used_memory"),
      maxMemoryBytes: info.number("maxmemory"),
      expiredKeys: info.number("expired_keys"),
      maxBulkBytes: maxBulkBytes(await ifAllowed(ask("CONFIG", "GET", "proto-max-bulk-len"))),
    };
  });
}

/** INFO, in full. FAILED_PRECONDITION: a Sentinel, or something else without a data set. */
export async function askInfo(ask: Ask, address: Address): Promise<Info> {
  const info = parseInfo(String(await ask("INFO", "everything")));
  if (info.get("loading") === "1") {
    throw new StatusError("UNAVAILABLE", `${address.endpoint} is loading its data set: it answers once that is done`);
  }
  if (info.get("redis_version") === undefined || info.get("role") === undefined) throw notValkey(address);
  const mode = info.get("server_mode") ?? info.get("redis_mode");
  if (mode === "sentinel" || info.get("role") === "sentinel") {
    throw new StatusError("FAILED_PRECONDITION", `${address.endpoint} is a Sentinel: name the server that it watches`);
  }
  return info;
}

/** Valkey tells the Redis version that it is compatible with, too. */
function productOf(info: Info): Pick<Server, "product" | "version"> {
  const valkey = info.get("valkey_version");
  return valkey === undefined
    ? { product: "Redis", version: info.get("redis_version") ?? "" }
    : { product: "Valkey", version: valkey };
}

/** The newest RDB version that a release reads of its own family; 7, of 2015, for anything older. */
export function rdbVersionOf(product: Server["product"], version: string): number {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  for (const [fromMajor, fromMinor, rdbVersion] of rdbVersions[product]) {
    if (major > fromMajor || (major === fromMajor && minor >= fromMinor)) return rdbVersion;
  }
  return 7;
}

/** The answer, or nothing if the server refuses or does not know the command. */
export async function ifAllowed(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof StatusError && (error.code === "PERMISSION_DENIED" || error.code === "UNKNOWN"))
      return undefined;
    throw error;
  }
}

/** FUNCTION STATS: `… engines [LUA [libraries_count n functions_count m]]`; a library is what a file holds. */
function countLibraries(stats: unknown): number {
  const flat = Array.isArray(stats) ? stats.flat(Number.POSITIVE_INFINITY).map(String) : [];
  return flat.reduce((sum, word, at) => (word === "libraries_count" ? sum + Number(flat[at + 1]) : sum), 0);
}

function maxBulkBytes(config: unknown): number {
  const value = Array.isArray(config) ? Number(config[1]) : Number.NaN;
  return Number.isSafeInteger(value) && value > 0 ? value : DEFAULT_MAX_BULK_BYTES;
}
