import { z } from "zod";
import { StatusError } from "../error.ts";
import type { Backup, BackupFile } from "./backup.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import { collectionName, fileName, isOperationName, parseBackupName, parseInstanceName } from "./name.ts";
import { livingOn } from "./transition.ts";

/** A manifest that is larger is not read: that of a thousand shards has 0.8 MB. */
export const largestManifestBytes = 1_500_000;

/** In characters of JSON: a document holds 1 MiB (https://cloud.google.com/firestore/quotas), and a thousand shards have 0.5 MB. */
const largestBackupLength = 900_000;

/** In characters: a shard with two of every three slots of a cluster has 5,461 stretches of 12 each. */
const longestSlots = 70_000;

const text = z.string().max(200);
const count = z.int().min(0);
const time = z.iso.datetime({ precision: 3 });
const checked = (check: (name: string) => unknown) =>
  z
    .string()
    .max(200)
    .refine((name) => {
      try {
        check(name);
        return true;
      } catch {
        return false;
      }
    }, "malformed");

const generation = z.string().regex(/^[1-9]\d{0,19}$/);
const crc32c = z.string().regex(/^[A-Za-z0-9+/]{6}==$/);

/** Every fact of a file: whoever adds one to the model is led here by the compiler. */
const file = z.strictObject({
  fileName: text,
  createTime: time,
  generation,
  crc32c,
  slots: z
    .string()
    .max(longestSlots)
    .regex(/^\d{1,5}(-\d{1,5})?( \d{1,5}(-\d{1,5})?)*$/)
    .exactOptional(),
  sourceRole: z.enum(["PRIMARY", "REPLICA"]).exactOptional(),
  replicationId: text.exactOptional(),
  replicationOffset: count.exactOptional(),
  snapshotStartTime: time.exactOptional(),
  snapshotEndTime: time.exactOptional(),
  consistency: z.enum(["POINT_IN_TIME", "FUZZY"]).exactOptional(),
  sizeBytes: count,
  magic: z.enum(["REDIS", "VALKEY"]),
  rdbVersion: count,
  minimumRdbVersion: count,
  crc64: z.enum(["ok", "absent"]),
  keys: count,
  expires: count,
  functions: count,
  databases: z.record(
    z.string().regex(/^\d{1,10}$/),
    z.strictObject({ keys: count, expires: count, types: z.record(text, count) }),
  ),
  largestRecordBytes: count,
  moduleTypes: z.array(text),
  slotImports: count,
  usedMemoryBytes: count.exactOptional(),
  index: z.strictObject({ generation, crc32c, sizeBytes: count }).exactOptional(),
} satisfies Record<keyof BackupFile, z.ZodType>);

const shape = z.strictObject({
  manifestVersion: z.literal(1),
  name: checked(parseBackupName),
  uid: text,
  instance: checked(parseInstanceName),
  instanceUid: text,
  location: text,
  operation: text.refine(isOperationName, "malformed"),
  backupType: z.enum(["ON_DEMAND", "AUTOMATED", "FINAL"]),
  createTime: time,
  expireTime: time,
  totalSizeBytes: count,
  engineVersion: text.exactOptional(),
  mode: z.enum(["CLUSTER_DISABLED", "CLUSTER"]),
  nodeType: text.exactOptional(),
  shardCount: z.int().min(1).max(1000),
  replicaCount: count,
  backupFiles: z.array(file),
  consistency: z.enum(["POINT_IN_TIME", "PER_SHARD", "FUZZY"]).exactOptional(),
  verification: z.enum(["UNVERIFIED", "CHECKED", "PROVEN"]),
} satisfies Record<keyof Manifest, z.ZodType>);

/**
 * The Backup that a manifest tells of, as it is put down where its document is lost. Nothing in the manifest is believed
 * for its place alone: DATA_LOSS says what does not agree. Whether its files are there is for whoever can look. One whose
 * time has passed, or passes within a day, lives one more day, or the next sweep would take it at once.
 */
export function rebuiltBackup(bytes: Uint8Array, name: string, bucket: string, now: string): Backup {
  const { success, data, error } = shape.safeParse(parseManifest(bytes, name));
  if (!success) throw differs(name, `${error.issues[0]?.path.join(".")}: ${error.issues[0]?.message}`);
  const { manifestVersion: _, ...facts } = data;
  if (collectionName(parseInstanceName(facts.instance)) !== parseBackupName(name).collection)
    throw differs(name, `it is of ${facts.instance}`);
  const misnamed = facts.backupFiles.find((found, shard) => found.fileName !== fileName(shard));
  if (misnamed !== undefined) throw differs(name, "its files are not those of its shards");
  const totalSizeBytes = facts.backupFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (totalSizeBytes !== facts.totalSizeBytes) throw differs(name, "the sizes of its files do not add up to its own");
  const backup: Backup = { ...facts, bucket, state: "ACTIVE", pins: [] };
  if (JSON.stringify(backup).length > largestBackupLength) throw differs(name, "it does not fit into a document");
  return livingOn(backup, now);
}

const differs = (name: string, reason: string): StatusError =>
  new StatusError("DATA_LOSS", `${name}/manifest.json is not one of ours: ${reason}`);
