import type { Inspection } from "../backup/health.ts";
import type { Server } from "../pipeline/ports.ts";
import { libraryNameOf } from "../rdb/function-library.ts";
import type { MemoryServer } from "./valkey.ts";

/** What it tells of itself: a Valkey 8.0, but for what the test says. */
export function described({ shards, functions, runId, answers }: MemoryServer): Server {
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
    ids: [runId],
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
    suspendsExpiry: true,
    ...answers,
  };
}

/** A server in good health, but for what the test says. */
export function inspection(endpoint: string, { inspected }: MemoryServer): Inspection {
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
