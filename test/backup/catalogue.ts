import type { Backup, BackupFile } from "../../shared/backup/backup.ts";
import type { Entry } from "../../shared/backup/retention.ts";

const base: Backup = {
  name: "",
  uid: "u",
  instance: "instances/orders",
  instanceUid: "i",
  location: "asia-northeast1",
  bucket: "vault",
  operation: "operations/backup-1",
  state: "ACTIVE",
  backupType: "AUTOMATED",
  createTime: "",
  expireTime: "2000-01-01T00:00:00.000Z",
  totalSizeBytes: 1,
  mode: "CLUSTER_DISABLED",
  shardCount: 1,
  replicaCount: 0,
  backupFiles: [],
  verification: "CHECKED",
  pins: [],
};

/** A backup taken then, on that day at three or at that time, long expired unless said otherwise. */
export const backup = (createTime: string, fields: Partial<Backup> = {}): Backup => ({
  ...base,
  name: `backupCollections/orders/backups/${createTime.replaceAll(/[^0-9]/g, "")}`,
  createTime: createTime.length === 10 ? `${createTime}T03:00:00.000Z` : createTime,
  ...fields,
});

/** The same as it is decided; it holds keys unless said otherwise. */
export const entry = (createTime: string, fields: Partial<Entry> = {}): Entry => ({
  ...backup(createTime),
  holdsKeys: true,
  ...fields,
});

/** One a day. */
export const daily = (from: string, days: number): Entry[] =>
  Array.from({ length: days }, (_, n) =>
    entry(new Date(Date.parse(`${from}T03:00:00Z`) + n * 86_400_000).toISOString()),
  );

/** One shard's file. */
export const file = (fileName: string, sizeBytes: number): BackupFile => ({
  ...{ fileName, sizeBytes, createTime: "2026-11-20T03:00:01.000Z", generation: "1", crc32c: "AAAAAA==" },
  ...{ magic: "VALKEY", rdbVersion: 80, minimumRdbVersion: 6, crc64: "ok" },
  ...{ keys: 1, expires: 0, functions: 0, databases: {}, largestRecordBytes: 1, moduleTypes: [], slotImports: 0 },
});
