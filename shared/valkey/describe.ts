import { StatusError } from "../error.ts";
import type { Server } from "../pipeline/ports.ts";
import type { Address } from "./address.ts";
import { type Ask, withClient } from "./connect.ts";
import { notValkey } from "./failure.ts";
import { type Info, parseInfo } from "./info.ts";
import { identityOf } from "./server-identity.ts";

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
 * What answers at the address. A server that is loading is UNAVAILABLE. What the ACL or an old version keeps from us is
 * left out.
 */
export function describe(address: Address, signal: AbortSignal): Promise<Server> {
  return withClient(address, signal, async (ask, peer) => {
    const info = await askInfo(ask, address);
    const { product, version } = productOf(info);
    const maxMemoryPolicy = info.get("maxmemory_policy");
    const systemMemoryBytes = info.number("total_system_memory");
    return {
      product,
      version,
      rdbVersion: rdbVersionOf(product, version),
      runId: info.get("run_id") ?? "",
      // Behind one address TLS may lead to several servers, by their names.
      ...identityOf(info, address.tls === undefined ? peer : undefined),
      mode: info.get("cluster_enabled") === "1" ? "CLUSTER" : "CLUSTER_DISABLED",
      role: info.get("role") === "master" ? "PRIMARY" : "REPLICA",
      replicaCount: info.number("connected_slaves"),
      databases: info.databases,
      modules: info.modules,
      ...(await askFunctions(ask)),
      usedMemoryBytes: info.number("used_memory"),
      maxMemoryBytes: info.number("maxmemory"),
      ...(maxMemoryPolicy !== undefined && { maxMemoryPolicy }),
      ...(systemMemoryBytes > 0 && { systemMemoryBytes }),
      expiredKeys: info.number("expired_keys"),
      ...(await askLimits(ask)),
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

/** How many function libraries there are and, if there are any, their names. */
async function askFunctions(ask: Ask): Promise<Pick<Server, "functionCount" | "functionLibraries">> {
  const stats = await ifAllowed(ask("FUNCTION", "STATS"));
  if (stats === undefined) return {};
  const functionCount = countLibraries(stats);
  if (functionCount === 0) return { functionCount, functionLibraries: [] };
  const libraries = await ifAllowed(ask("FUNCTION", "LIST"));
  return libraries === undefined
    ? { functionCount }
    : { functionCount, functionLibraries: valuesOf("library_name", libraries) };
}

/** FUNCTION STATS: `… engines [LUA [libraries_count n functions_count m]]`; a library is what a file holds. */
const countLibraries = (stats: unknown): number =>
  valuesOf("libraries_count", stats).reduce((sum, count) => sum + Number(count), 0);

/** What stands behind each `name` in an answer of names and values in turn, however nested. */
function valuesOf(name: string, answer: unknown): string[] {
  const flat = Array.isArray(answer) ? answer.flat(Number.POSITIVE_INFINITY).map(String) : [];
  return flat.flatMap((word, at) => (word === name ? [flat[at + 1] ?? ""] : []));
}

/** What only the server's configuration tells; nothing where the ACL, or the provider, keeps that to itself. */
async function askLimits(ask: Ask): Promise<Pick<Server, "databaseCount" | "maxBulkBytes" | "suspendsExpiry">> {
  const databaseCount = await configured(ask, "databases");
  const maxBulkBytes = await configured(ask, "proto-max-bulk-len");
  const importMode = await setting(ask, "import-mode");
  return {
    ...(importMode !== undefined && { suspendsExpiry: true }),
    ...(databaseCount !== undefined && { databaseCount }),
    ...(maxBulkBytes !== undefined && { maxBulkBytes }),
  };
}

/** A setting that is a number above 0; nothing for anything else. */
export async function configured(ask: Ask, name: string): Promise<number | undefined> {
  const value = Number((await setting(ask, name)) ?? Number.NaN);
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** What CONFIG GET answers; nothing where the server does not know the name, or the ACL or the provider keeps it to itself. */
export async function setting(ask: Ask, name: string): Promise<string | undefined> {
  const answer = await ifAllowed(ask("CONFIG", "GET", name));
  return Array.isArray(answer) && answer.length >= 2 ? String(answer[1]) : undefined;
}
