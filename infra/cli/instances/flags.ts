import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { InstanceFlags } from "../../../shared/backup/instance.ts";
import { StatusError } from "../../../shared/error.ts";
import type { Flag } from "../command.ts";

/** How a server is reached. */
export const accessFlags = {
  "transit-encryption-mode": {
    type: "string",
    value: "MODE",
    help: "disabled (the default) or server-authentication: TLS",
    values: ["disabled", "server-authentication"],
  },
  "ca-file": { type: "string", value: "FILE", help: "PEM of the authority that signed the server's certificate" },
  "auth-user": { type: "string", value: "USER", help: "the ACL user; default where absent" },
  "auth-secret": {
    type: "string",
    value: "REFERENCE",
    help: "where the password is: env:NAME, or file:PATH under .local/secrets; never the password",
  },
} as const satisfies Record<string, Flag>;

/** What can be said of an instance at any time. */
export const settingFlags = {
  location: { type: "string", value: "REGION", help: "its region; backups are kept there" },
  mode: {
    type: "string",
    value: "MODE",
    help: "cluster-disabled (the default) or cluster",
    values: ["cluster-disabled", "cluster"],
  },
  ...accessFlags,
  source: {
    type: "string",
    value: "POLICY",
    help: "of which node snapshots are taken: prefer-replica (the default of a cluster), replica-only or primary; the endpoint itself where absent without a cluster",
    values: ["prefer-replica", "replica-only", "primary"],
  },
  "max-parallel-shards": {
    type: "string",
    value: "COUNT",
    help: "how many shards are taken at once at most, 1 to 250; 8 where absent",
  },
  "automated-backup-config-mode": {
    type: "string",
    value: "MODE",
    help: "enabled or disabled (the default)",
    values: ["enabled", "disabled"],
  },
  "fixed-frequency-schedule-start-time-hours": {
    type: "string",
    value: "HOURS",
    help: "the hour of the daily backup, 0 to 23 in UTC",
  },
  "automated-backup-config-cron": {
    type: "string",
    value: "CRON",
    help: "in place of the hour: five fields, such as '*/15 * * * *'",
  },
  "automated-backup-config-time-zone": {
    type: "string",
    value: "ZONE",
    help: "of the cron, such as Asia/Tokyo; Etc/UTC where absent",
  },
  "automated-backup-config-snapshot-window": {
    type: "string",
    value: "HH:MM-HH:MM",
    help: "in place of the hour: once a day somewhere within, in UTC, at least 60 minutes",
  },
  "automated-backup-config-retention": {
    type: "string",
    value: "DAYS",
    help: "how long automated backups are kept, 1d to 365d, 0d to take none; 35d where absent",
  },
  "snapshot-method": {
    type: "string",
    value: "METHOD",
    help: "automatic (the default: replication, or scan where the server refuses that), replication, scan, or volume: BGSAVE, and the file is read where the server's data directory is mounted",
    values: ["automatic", "replication", "scan", "volume"],
  },
  "max-keys-per-second": {
    type: "string",
    value: "COUNT",
    help: "what a scan may read of a node, 1 to 10000000; none (the default): as fast as the server's latency allows",
  },
  "data-directory": {
    type: "string",
    value: "PATH",
    help: "with volume: the server's data directory as it is mounted where the functions run, such as /mnt/orders",
  },
  "maintenance-window": {
    type: "string",
    value: "WINDOWS",
    help: "weekly, such as sun:23:00-mon:01:30, several with commas; default: nights and the weekend; or none",
  },
  "maintenance-time-zone": { type: "string", value: "ZONE", help: "of the windows; Etc/UTC where absent" },
  "maintenance-backup-policy": {
    type: "string",
    value: "POLICY",
    help: "a scheduled backup in a window: avoid (the default: after it), avoid-before, ignore",
  },
  "backup-objective": {
    type: "string",
    value: "DURATION",
    help: "alert when the newest verified backup is older, such as 26h; schedule: as the schedule implies (the default)",
  },
  "deletion-protection-enabled": {
    type: "boolean",
    help: "refuse to delete it; --no-deletion-protection-enabled ends that",
  },
} as const satisfies Record<string, Flag>;

type Given = {
  [K in keyof typeof settingFlags]?: (typeof settingFlags)[K]["type"] extends "boolean" ? boolean : string;
};
type Possible<T> = { [K in keyof T]: T[K] | undefined };

/** The flags as the model takes them, the CA's file read. */
export async function settingsOf(flags: Possible<Given>): Promise<InstanceFlags> {
  return {
    location: flags.location,
    mode: flags.mode,
    source: flags.source,
    maxParallelShards: flags["max-parallel-shards"],
    ...(await accessOf(flags)),
    automatedBackupMode: flags["automated-backup-config-mode"],
    startTimeHours: flags["fixed-frequency-schedule-start-time-hours"],
    cron: flags["automated-backup-config-cron"],
    timeZone: flags["automated-backup-config-time-zone"],
    snapshotWindow: flags["automated-backup-config-snapshot-window"],
    retention: flags["automated-backup-config-retention"],
    backupObjective: flags["backup-objective"],
    snapshotMethod: flags["snapshot-method"],
    dataDirectory: flags["data-directory"],
    maxKeysPerSecond: flags["max-keys-per-second"],
    maintenanceWindow: flags["maintenance-window"],
    maintenanceTimeZone: flags["maintenance-time-zone"],
    maintenanceBackupPolicy: flags["maintenance-backup-policy"],
    deletionProtectionEnabled: flags["deletion-protection-enabled"],
  };
}

/** The flags of access alone. */
export async function accessOf(
  flags: Possible<Pick<Given, keyof typeof accessFlags>>,
): Promise<Pick<InstanceFlags, "transitEncryptionMode" | "caCertificate" | "authUser" | "authSecret">> {
  const file = flags["ca-file"];
  return {
    transitEncryptionMode: flags["transit-encryption-mode"],
    caCertificate: file === undefined ? undefined : await readCertificate(file),
    authUser: flags["auth-user"],
    authSecret: flags["auth-secret"],
  };
}

async function readCertificate(file: string): Promise<string> {
  try {
    const pem = await readFile(file, "utf8");
    new X509Certificate(pem);
    return pem;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StatusError("INVALID_ARGUMENT", `--ca-file: ${file} is no certificate in PEM: ${reason}`, { cause });
  }
}
