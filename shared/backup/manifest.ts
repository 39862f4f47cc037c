import { StatusError } from "../error.ts";
import type { Backup } from "./backup.ts";

/** `manifest.json`: what is needed to restore a backup, and to know it again, from the bucket alone. */
export interface Manifest
  extends Pick<
    Backup,
    | "name"
    | "uid"
    | "instance"
    | "instanceUid"
    | "location"
    | "operation"
    | "backupType"
    | "createTime"
    | "expireTime"
    | "totalSizeBytes"
    | "engineVersion"
    | "mode"
    | "nodeType"
    | "shardCount"
    | "replicaCount"
    | "backupFiles"
    | "consistency"
    | "verification"
  > {
  manifestVersion: 1;
}

/** The manifest of a sealed backup, the same bytes each time: its fields in one order, whatever order the store answers in. */
export function manifestBytes(backup: Backup): Uint8Array {
  const manifest: Manifest = {
    manifestVersion: 1,
    name: backup.name,
    uid: backup.uid,
    instance: backup.instance,
    instanceUid: backup.instanceUid,
    location: backup.location,
    operation: backup.operation,
    backupType: backup.backupType,
    createTime: backup.createTime,
    expireTime: backup.expireTime,
    totalSizeBytes: backup.totalSizeBytes,
    ...(backup.engineVersion !== undefined && { engineVersion: backup.engineVersion }),
    mode: backup.mode,
    ...(backup.nodeType !== undefined && { nodeType: backup.nodeType }),
    shardCount: backup.shardCount,
    replicaCount: backup.replicaCount,
    backupFiles: backup.backupFiles,
    ...(backup.consistency !== undefined && { consistency: backup.consistency }),
    verification: backup.verification,
  };
  return new TextEncoder().encode(`${JSON.stringify(sorted(manifest), null, 2)}\n`);
}

/** Reads a manifest and checks that it is the named backup's; DATA_LOSS where it is not. */
export function parseManifest(bytes: Uint8Array, name: string): Manifest {
  let manifest: Partial<Manifest>;
  try {
    manifest = Object(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (cause) {
    throw new StatusError("DATA_LOSS", `${name}/manifest.json is not JSON`, { cause });
  }
  const { manifestVersion, shardCount, backupFiles } = manifest;
  if (manifestVersion !== 1)
    throw new StatusError("UNIMPLEMENTED", `${name}/manifest.json has version ${manifestVersion}, expected 1`);
  if (manifest.name !== name) throw new StatusError("DATA_LOSS", `${name}/manifest.json is of another backup`);
  if (!Array.isArray(backupFiles) || backupFiles.length !== shardCount)
    throw new StatusError(
      "DATA_LOSS",
      `${name}/manifest.json names ${backupFiles?.length} files for ${shardCount} shards`,
    );
  return manifest as Manifest;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}
