import type { Instance } from "./backup.ts";

/** `proto-max-bulk-len` where nobody has changed it (valkey.conf, 8.0). */
export const defaultMaxBulkBytes = 536_870_912;

/** The target of a restore as it was found. What is absent the target does not tell, or not to us. */
export interface Target {
  product: "Valkey" | "Redis";
  version: string;
  /** The newest RDB version that it reads of its own family. */
  rdbVersion: number;
  mode: Instance["mode"];
  role: "PRIMARY" | "REPLICA";
  replicaCount: number;
  databases: Record<string, { keys: number }>;
  /** How many databases it is configured with. */
  databaseCount?: number;
  /** Names of the modules that it has loaded. */
  modules: readonly string[];
  functionCount?: number;
  /** Names of its function libraries; they leave memory only as counts. */
  functionLibraries?: readonly string[];
  usedMemoryBytes: number;
  /** 0: no limit. */
  maxMemoryBytes: number;
  /** Of a cluster: what fits until the first node with a limit is full, if the keys spread evenly over the slots. */
  evenRoomBytes?: number;
  maxMemoryPolicy?: string;
  systemMemoryBytes?: number;
  /** `proto-max-bulk-len`. */
  maxBulkBytes?: number;
  /** It knows `import-mode`, from Valkey 8.1 on: keys expire only when the importer says so. */
  suspendsExpiry?: true;
}

/** The format in which a server dumps its values: Valkey went its own way with RDB version 80. */
export const dumpFormat = ({ product, rdbVersion }: Pick<Target, "product" | "rdbVersion">) => ({
  magic: product === "Valkey" && rdbVersion >= 80 ? ("VALKEY" as const) : ("REDIS" as const),
  rdbVersion,
});
