import type { ExportPolicy } from "./export-policy.ts";
import type { MaintenancePolicy } from "./maintenance.ts";
import type { Schedule } from "./schedule.ts";

/** Every time is RFC 3339 in UTC with milliseconds; every size is in bytes. Names and enum values are Memorystore's. */

/** One Valkey deployment under protection. `instances/{instanceId}` */
export interface Instance {
  name: string;
  uid: string;
  engine: "SELF_MANAGED" | "MEMORYSTORE";
  mode: "CLUSTER_DISABLED" | "CLUSTER";
  /** `HOST:PORT`. */
  endpoint: string;
  transitEncryptionMode: "TRANSIT_ENCRYPTION_DISABLED" | "SERVER_AUTHENTICATION";
  /** PEM; absent means the system's authorities. */
  caCertificate?: string;
  /** The ACL user; absent means `default`. */
  authUser?: string;
  /** A reference (`env:NAME`, `file:PATH`), never the secret. */
  authSecret?: string;
  location: string;
  nodeType?: string;
  shardCount: number;
  replicaCount: number;
  engineVersion?: string;
  automatedBackupConfig: AutomatedBackupConfig;
  /** Absent: nothing is exported by itself. */
  exportPolicy?: ExportPolicy;
  /** How old the newest verified backup may be, in seconds; absent: as its schedule implies. */
  backupObjective?: number;
  maintenancePolicy?: MaintenancePolicy;
  /** How snapshots are taken. Absent: REPLICATION, and SCAN where the server refuses that. */
  snapshotMethod?: SnapshotMethod;
  /** SCAN: so many keys of a node are read in a second; as many as its latency allows where absent. */
  maxKeysPerSecond?: number;
  /** VOLUME: the server's data directory as it is mounted where the function `snapshot` runs. */
  dataDirectory?: string;
  /** Which node of a shard its snapshot is taken of. PREFER_REPLICA where absent. */
  source?: SourcePolicy;
  /** How many shards are taken at once at most; `defaultParallelShards` where absent. */
  maxParallelShards?: number;
  /** Other nodes of a cluster, as the last backup or restore found them: where the endpoint is dead, they answer in its place. */
  seeds?: Seed[];
  /** UPDATING: somebody works at it, and no backup starts. ACTIVE where absent. */
  state?: "ACTIVE" | "UPDATING";
  deletionProtectionEnabled: boolean;
  createTime: string;
  /** Lock: the restore Operation that writes into this instance. Void once that Operation is done. */
  restoring?: string;
}

/** REPLICATION: as a replica asks for them. SCAN: key by key, while others write. VOLUME: by BGSAVE, and its file is read. */
export type SnapshotMethod = "REPLICATION" | "SCAN" | "VOLUME";

/**
 * PREFER_REPLICA: the healthiest replica in sync, else the primary. REPLICA_ONLY: no primary ever pays for a fork. PRIMARY: nothing
 * is read that a replica may not have heard of yet.
 */
export type SourcePolicy = "PREFER_REPLICA" | "REPLICA_ONLY" | "PRIMARY";

/**
 * Who writes to an endpoint, whatever instances are registered there, or who writes to what answers there or backs it up, whatever
 * addresses lead to it: only while it does. `endpoints/{HOST:PORT}`, `servers/{id}`
 */
export interface Endpoint {
  name: string;
  /** Lock: the restore Operation. Void once that Operation is done. */
  restoring?: string;
  /** The backup Operations, of one instance each. Those that are done do not count. */
  reading?: string[];
}

/** When backups are taken by themselves: at most one of the three is set; with none of them daily at 00:00 UTC. */
export interface AutomatedBackupConfig {
  automatedBackupMode: "ENABLED" | "DISABLED";
  /** Daily, at a whole hour of UTC. */
  fixedFrequencySchedule?: { startTime: { hours: number } };
  cronSchedule?: Schedule;
  /** `15:00-16:00` in UTC, as ElastiCache has it: daily, at some minute within. */
  snapshotWindow?: string;
  /** Seconds, whole days, 1 to 365 of them; 0 takes none. */
  retentionSeconds: number;
  /** When the schedule last became another: no run before that was missed. Absent: it is as it was registered. */
  changeTime?: string;
}

/**
 * What keeps backups beyond their own `expireTime`. Rules combine: what one of them keeps is kept. Empty: only
 * `expireTime` counts, and the newest verified backup always stays; so does the newest of them that holds keys.
 */
export interface RetentionPolicy {
  /** The newest n. */
  keepLast?: number;
  /** The newest of each of the last n days, weeks (ISO 8601), months or years that have a backup. */
  keepDaily?: number;
  keepWeekly?: number;
  keepMonthly?: number;
  keepYearly?: number;
  /** IANA; where days, weeks, months and years begin. UTC where absent. */
  timeZone?: string;
  /** So many of the best verification there is are never taken; at least 1, which is the default. */
  minimumRedundancy?: number;
}

/** All backups of one instance; outlives it. `backupCollections/{instanceId}` */
export interface BackupCollection {
  name: string;
  instance: string;
  instanceUid: string;
  location: string;
  createTime: string;
  totalBackupCount: number;
  totalBackupSizeBytes: number;
  lastBackupTime?: string;
  retentionPolicy?: RetentionPolicy;
  /** The last export by policy: which week or month it was for, where to, and the Operation that saw to it. */
  lastExport?: { period: string; gcsBucket: string; operation: string };
  /** The sweep that decided it last; while that Operation lives, no other one decides it. */
  sweeping?: string;
  /** The last sweep found that a rule keeps backups beyond their expiry: those have no `reviewTime` of their own. */
  keepsExpired?: true;
  /** From when a sweep decides it anew because of that; see `toReview`. */
  reviewTime?: string;
  /** Since the last sweep decided it: see `overruled`. */
  overruleTime?: string;
  kmsKey?: string;
  /** Lock: the Operation that takes a backup. Void once that Operation is done. */
  creating?: string;
  /** Lock: the Operation that puts a tombstone on each of its backups. Void once that Operation is done. */
  deleting?: string;
  /** Deleted: the document goes with the last backup, unless one is undeleted or taken before. */
  deleteTime?: string;
}

/** FINAL: taken before its instance went; kept as an ON_DEMAND one is. */
export type BackupType = "ON_DEMAND" | "AUTOMATED" | "FINAL";

/** UNVERIFIED: only registered. CHECKED: every byte was parsed and both checksums agreed. PROVEN: it was restored and compared. */
export type Verification = "UNVERIFIED" | "CHECKED" | "PROVEN";

/** What keeps files in a bucket: its retention policy, or the object's own, until a known time; or a hold, until somebody ends it. */
export type DeferredBy = "RETENTION_POLICY" | "HOLD";

/**
 * POINT_IN_TIME: one file, of one instant. PER_SHARD: each shard's file is of an instant of its own, and they are not the same one.
 * FUZZY: keys were read one after the other, over a span of time.
 */
export type Consistency = "POINT_IN_TIME" | "PER_SHARD" | "FUZZY";

/** A node of a cluster that can answer for it. At an address that is another's by now, nobody has its id. */
export interface Seed {
  /** `HOST:PORT` */
  endpoint: string;
  node: string;
}

/** A shard as the plan of a backup found it. */
export interface ShardPlan {
  /** Absent: a server without cluster mode. */
  slots?: string;
  /** The node that was the best to read. */
  node?: string;
  /** All that were there, by id. */
  nodes?: string[];
}

/** One consistent set of RDB files, one a shard. `backupCollections/{instanceId}/backups/{backupId}` */
export interface Backup {
  name: string;
  uid: string;
  instance: string;
  instanceUid: string;
  location: string;
  /** The bucket that holds it. */
  bucket: string;
  /** The Operation that made it. */
  operation: string;
  state: "CREATING" | "ACTIVE" | "DELETING";
  backupType: BackupType;
  createTime: string;
  expireTime: string;
  totalSizeBytes: number;
  engineVersion?: string;
  mode: Instance["mode"];
  nodeType?: string;
  shardCount: number;
  replicaCount: number;
  backupFiles: BackupFile[];
  /** CREATING: its shards as they were planned, in their order. */
  shards?: ShardPlan[];
  /** Absent of one that was sealed before it was told. */
  consistency?: Consistency;
  verification: Verification;
  /** Operations that read it. A pin is void once its Operation is done. */
  pins: string[];
  /** From when a sweep looks at it, and so at its collection. Absent: see `keepsExpired`; or it is held, or CREATING. */
  reviewTime?: string;
  /** When somebody holds it, why; and the Operation that put the hold there, or takes it away. */
  hold?: { reason: string; createTime: string; operation: string };
  /** DELETING: from when it may be erased; until then it can be undeleted. */
  purgeTime?: string;
  /** DELETING: erasing was tried, and the bucket keeps the files; from then on it is tried again. */
  deferredUntil?: string;
  deferredBy?: DeferredBy;
  /** DELETING: erasing began; from here on nothing brings it back. */
  purgeStartTime?: string;
}

/** One shard's RDB file, as it was stored and as it was read. */
export interface BackupFile extends RdbFacts {
  fileName: string;
  createTime: string;
  generation: string;
  /** Base64, big-endian, as Cloud Storage writes it. */
  crc32c: string;
  /** The slots of a cluster's shard, as CLUSTER NODES writes them: `0-5460 7000`. */
  slots?: string;
  /** What the node was that it was taken of. */
  sourceRole?: "PRIMARY" | "REPLICA";
  /** The history of changes, and the place in it, that the file holds: master_replid and its offset. */
  replicationId?: string;
  replicationOffset?: number;
  /** When the snapshot was asked for, and when its last byte was stored: the file shows an instant between the two, or is FUZZY. */
  snapshotStartTime?: string;
  snapshotEndTime?: string;
  /** POINT_IN_TIME where absent. */
  consistency?: "POINT_IN_TIME" | "FUZZY";
  /** Where it can be cut: the object beside it. Absent: it is loaded whole. */
  index?: StoredIndex;
}

/** An index as it was stored. */
export interface StoredIndex {
  generation: string;
  crc32c: string;
  sizeBytes: number;
}

/** What reading a whole RDB file tells: `rdb/reader.ts` makes it. */
export interface RdbFacts {
  sizeBytes: number;
  magic: "REDIS" | "VALKEY";
  rdbVersion: number;
  /** The lowest RDB version with every type that the file holds. */
  minimumRdbVersion: number;
  /** `absent`: the server that wrote it had checksums off. */
  crc64: "ok" | "absent";
  keys: number;
  expires: number;
  functions: number;
  databases: Record<string, { keys: number; expires: number; types: Record<string, number> }>;
  largestRecordBytes: number;
  moduleTypes: string[];
  /** Slots that were on their way into the shard: their keys may be incomplete. */
  slotImports: number;
  /** What the server that wrote it used (`used-mem`), where the file tells. */
  usedMemoryBytes?: number;
}
