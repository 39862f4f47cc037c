import type { Instance } from "../backup/backup.ts";
import type { Inspection } from "../backup/health.ts";
import { ReplicationRefused, StatusError } from "../error.ts";
import type { Layout, LoadOptions, LoadResult, LoadSource, Server, Valkey } from "../pipeline/ports.ts";
import type { RdbRecord } from "../rdb/entry.ts";
import { libraryNameOf } from "../rdb/function-library.ts";
import { records } from "../rdb/records.ts";
import { writeRdb } from "../rdb/writer.ts";
import { memoryScan } from "./valkey-scan.ts";

type Key = Pick<RdbRecord, "type" | "expireTimeMs"> & { value: Uint8Array };

/** One deployment in memory: its shards' keys, by database and key in hex. */
export interface MemoryServer {
  shards: Map<string, Key>[];
  functions: Set<string>;
  runId: string;
  /** Overrides what `describe` answers. */
  answers: Partial<Server>;
  /** What differs of INFO and of the settings that `inspect` answers; a setting that is `undefined` cannot be read. */
  inspected: { info?: Record<string, string>; config?: { [K in keyof Inspection["config"]]?: string | undefined } };
  /** What its snapshots send in place of its keys, to stand for a server that sends something else. */
  sends: Uint8Array | undefined;
  /** Slots, nodes, hosts and zones of its shards; a server without cluster mode where absent. */
  layout: Layout["shards"] | undefined;
  /** As a managed service does. */
  refusesReplication: boolean;
  /** Keys that one call of a scan reads before its time is up; all of them where absent. */
  keysOfScan: number | undefined;
}

export interface MemoryValkey extends Valkey {
  /** Puts a deployment behind an endpoint, empty, with so many shards. */
  start(endpoint: string, shardCount?: number): MemoryServer;
  /** The deployments, by endpoint. */
  readonly servers: ReadonlyMap<string, MemoryServer>;
  /** Nobody answers there from now on. */
  stop(endpoint: string): void;
}

/** Valkey in memory. Its snapshots are real RDB files of version 11, in chunks of `chunkBytes`. */
export function createMemoryValkey({ chunkBytes = 64 }: { chunkBytes?: number } = {}): MemoryValkey {
  const servers = new Map<string, MemoryServer>();

  function find({ endpoint }: Instance): MemoryServer {
    const server = servers.get(endpoint);
    if (server === undefined) throw new StatusError("UNAVAILABLE", `nobody answers at ${endpoint}`);
    return server;
  }

  return {
    servers,
    start(endpoint, shardCount = 1) {
      const shards = Array.from({ length: shardCount }, () => new Map<string, Key>());
      const server = {
        shards,
        functions: new Set<string>(),
        runId: `run-${servers.size + 1}`,
        answers: {},
        inspected: {},
        sends: undefined,
        layout: undefined,
        refusesReplication: false,
        keysOfScan: undefined,
      };
      servers.set(endpoint, server);
      return server;
    },
    stop: (endpoint) => void servers.delete(endpoint),
    describe: async (instance) => described(find(instance)),
    inspect: async (instance) => [inspection(instance.endpoint, find(instance))],
    shardCount: async (instance) => find(instance).shards.length,
    async plan(instance) {
      const { layout, shards } = find(instance);
      return { shards: layout ?? shards.map(() => ({})), seeds: [] };
    },
    async *snapshot(instance, { shard, slots }, signal, onSource) {
      const server = find(instance);
      if (server.refusesReplication)
        throw new ReplicationRefused("PERMISSION_DENIED", `${instance.endpoint} keeps PSYNC to itself`);
      const now = server.layout?.[shard]?.slots;
      if (slots !== now)
        throw new StatusError(
          "FAILED_PRECONDITION",
          `shard ${shard} had the slots ${slots}, now ${now}: slots have moved`,
        );
      const node = server.layout?.[shard]?.node ?? server.runId;
      onSource?.({ node, sourceRole: "PRIMARY", replicationId: server.runId, replicationOffset: 0 });
      const file = server.sends ?? fileOf(server, shard);
      for (let start = 0; start < file.byteLength; start += chunkBytes) {
        signal.throwIfAborted();
        if (!servers.has(instance.endpoint))
          throw new StatusError("UNAVAILABLE", `${instance.endpoint} closed the link`);
        yield file.subarray(start, start + chunkBytes);
      }
    },
    async *scan(instance, { shard }, options, signal, onSource) {
      onSource?.({ sourceRole: "PRIMARY" });
      for (const chunk of memoryScan(find(instance), shard, options, instance.endpoint)) {
        signal.throwIfAborted();
        yield chunk;
      }
    },
    load: async (instance, source, options, signal) => await loadInto(find(instance), source, options, signal),
  };
}

function described({ shards, functions, runId, answers }: MemoryServer): Server {
  const databases: Server["databases"] = {};
  for (const shard of shards)
    for (const [name, { expireTimeMs }] of shard) {
      const database = name.slice(0, name.indexOf(":"));
      const { keys, expires } = databases[database] ?? { keys: 0, expires: 0 };
      databases[database] = { keys: keys + 1, expires: expires + (expireTimeMs === -1 ? 0 : 1) };
    }
  return {
    product: "Valkey",
    version: "8.0.1",
    rdbVersion: 11,
    runId,
    mode: "CLUSTER_DISABLED",
    role: "PRIMARY",
    replicaCount: 0,
    databases,
    databaseCount: 16,
    functionCount: functions.size,
    functionLibraries: [...functions].map((code) => libraryNameOf(Buffer.from(code)) ?? ""),
    modules: [],
    usedMemoryBytes: 1_000_000,
    maxMemoryBytes: 0,
    maxMemoryPolicy: "noeviction",
    systemMemoryBytes: 8_000_000_000,
    expiredKeys: 0,
    maxBulkBytes: 536_870_912,
    ...answers,
  };
}

/** A server in good health, but for what the test says. */
function inspection(endpoint: string, { inspected }: MemoryServer): Inspection {
  const info = {
    redis_version: "7.2.4",
    valkey_version: "8.0.1",
    role: "master",
    uptime_in_seconds: "7200",
    server_time_usec: "1767225600000000",
    used_memory: "1000000",
    used_memory_rss: "10000000",
    mem_not_counted_for_evict: "0",
    total_system_memory: "16000000000",
    maxmemory: "0",
    latest_fork_usec: "300",
    rdb_changes_since_last_save: "0",
    rdb_last_save_time: "1767225000",
    rdb_bgsave_in_progress: "0",
    rdb_last_bgsave_status: "ok",
    rdb_last_cow_size: "0",
    aof_enabled: "0",
    ...inspected.info,
  };
  const config = {
    save: "3600 1 300 100 60 10000",
    "stop-writes-on-bgsave-error": "yes",
    rdbchecksum: "yes",
    rdbcompression: "yes",
    appendfsync: "everysec",
    "repl-timeout": "60",
    "client-output-buffer-limit": "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ...inspected.config,
  };
  const told = Object.entries(config).filter(([, value]) => value !== undefined);
  return { endpoint, info, config: Object.fromEntries(told) };
}

function fileOf({ shards, functions }: MemoryServer, shard: number): Uint8Array {
  const keys = [...(shards[shard] ?? [])].map(([name, key]) => {
    const [db = "0", hex = ""] = name.split(":");
    return { kind: "record" as const, db: Number(db), key: Buffer.from(hex, "hex"), ...key };
  });
  const code = [...functions].map((text) => ({ kind: "function" as const, code: Buffer.from(text) }));
  return writeRdb({ magic: "REDIS", rdbVersion: 11 }, [...code, ...keys]);
}

async function loadInto(
  server: MemoryServer,
  source: LoadSource,
  options: LoadOptions,
  signal: AbortSignal,
): Promise<LoadResult> {
  await options.confirm();
  const result: LoadResult = { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 };
  for await (const batch of records(source.read({ start: 0 }, signal)))
    for (const entry of batch) {
      signal.throwIfAborted();
      if (entry.kind === "record") restore(server, entry, options, result);
      else if (options.withFunctions) {
        putLibrary(server, Buffer.from(entry.code).toString(), options);
        result.functions++;
      }
      options.onProgress?.(entry.offset);
    }
  return result;
}

function putLibrary({ functions }: MemoryServer, code: string, { replace }: LoadOptions): void {
  const name = libraryNameOf(Buffer.from(code));
  const same = [...functions].find((other) => libraryNameOf(Buffer.from(other)) === name);
  if (same !== undefined && !replace)
    throw new StatusError("FAILED_PRECONDITION", "the target has a function of the file already");
  if (same !== undefined) functions.delete(same);
  functions.add(code);
}

function restore(server: MemoryServer, record: RdbRecord, options: LoadOptions, result: LoadResult): void {
  const leftMs = record.expireTimeMs === -1 ? Number.POSITIVE_INFINITY : record.expireTimeMs - options.now();
  if (leftMs <= 0) result.expiredKeys++;
  else put(server, record, options, result);
  if (leftMs > 0 && leftMs <= 60_000) result.soonExpiredKeys++;
}

function put(
  { shards }: MemoryServer,
  { db, key, type, value, expireTimeMs }: RdbRecord,
  options: LoadOptions,
  result: LoadResult,
): void {
  const name = `${db}:${Buffer.from(key).toString("hex")}`;
  const shard = shards[0];
  if (shard === undefined || value === undefined)
    throw new StatusError("INTERNAL", "a server in memory takes small records into its first shard");
  if (shard.has(name) && !options.replace)
    throw new StatusError("FAILED_PRECONDITION", "the target has a key already: someone else writes there");
  shard.set(name, { type, expireTimeMs, value: Uint8Array.from(value) });
  const { keys, expires } = result.databases[db] ?? { keys: 0, expires: 0 };
  result.databases[db] = { keys: keys + 1, expires: expires + (expireTimeMs === -1 ? 0 : 1) };
}

/** The name under which a server in memory keeps a key. */
export const keyName = (db: number, key: string): string => `${db}:${Buffer.from(key).toString("hex")}`;
