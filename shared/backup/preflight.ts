import type { Instance, RdbFacts } from "./backup.ts";

/** One thing that must hold before a restore touches anything. */
export interface Check {
  name: string;
  isOk: boolean;
  message: string;
}

/** The target as it was found. */
export interface Target {
  product: string;
  version: string;
  rdbVersion: number;
  mode: Instance["mode"];
  role: "PRIMARY" | "REPLICA";
  databases: Record<string, { keys: number }>;
  moduleCount: number;
  usedMemoryBytes: number;
  maxMemoryBytes: number;
  maxBulkBytes: number;
}

/** What RESTORE adds to a record: the version and the checksum, `createDumpPayload` in Valkey's cluster.c. */
const payloadFooter = 10;

/** Whether these files can be loaded into this target; every check with what was expected and found. */
export function preflight(files: readonly RdbFacts[], target: Target): Check[] {
  const sum = (of: (file: RdbFacts) => number): number => files.reduce((total, file) => total + of(file), 0);
  const held = Object.values(target.databases).reduce((total, { keys }) => total + keys, 0);
  const needed = Math.max(0, ...files.map(({ minimumRdbVersion }) => minimumRdbVersion));
  const largest = Math.max(0, ...files.map(({ largestRecordBytes }) => largestRecordBytes)) + payloadFooter;
  const databases = new Set(files.flatMap((file) => Object.keys(file.databases)));
  const memory = sum(({ usedMemoryBytes, sizeBytes }) => usedMemoryBytes ?? sizeBytes);
  const free = target.maxMemoryBytes - target.usedMemoryBytes;
  const family = files.some(({ magic, minimumRdbVersion }) => magic === "REDIS" && minimumRdbVersion >= 12)
    ? "Redis"
    : undefined;
  const modules = new Set(files.flatMap(({ moduleTypes }) => moduleTypes));
  return [
    check("empty", held === 0, `the target holds ${held} keys; a restore wants an empty one`),
    check("role", target.role === "PRIMARY", "the target is a replica; name its primary"),
    check(
      "version",
      target.rdbVersion >= needed,
      `the files need RDB version ${needed}, ${target.product} ${target.version} reads up to ${target.rdbVersion}`,
    ),
    check(
      "family",
      family === undefined || target.product === family,
      `the files hold types that only ${family} knows, the target is ${target.product} ${target.version}`,
    ),
    check(
      "databases",
      target.mode === "CLUSTER_DISABLED" || [...databases].every((db) => db === "0"),
      `the files hold ${databases.size} databases; cluster mode has one`,
    ),
    check(
      "modules",
      modules.size === 0 || target.moduleCount > 0,
      `the files hold values of modules (${[...modules].join(", ")}); the target has none`,
    ),
    check(
      "record",
      largest <= target.maxBulkBytes,
      `the largest record has ${largest} bytes, the target takes ${target.maxBulkBytes} (proto-max-bulk-len)`,
    ),
    check(
      "memory",
      target.maxMemoryBytes === 0 || memory <= free,
      `about ${memory} bytes of memory are needed, ${free} are free under maxmemory`,
    ),
  ];
}

const check = (name: string, isOk: boolean, complaint: string): Check => ({
  name,
  isOk,
  message: isOk ? "ok" : complaint,
});
