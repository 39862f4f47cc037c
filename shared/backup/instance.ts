import { StatusError } from "../error.ts";
import { changedConfig, type ScheduleFlags } from "./automated-backup.ts";
import type { Instance } from "./backup.ts";
import { oneOf } from "./choice.ts";
import { objectiveSeconds, retentionSeconds } from "./duration.ts";
import { changedMaintenance, type MaintenanceFlags } from "./maintenance-flags.ts";
import { instanceName, parseInstanceName } from "./name.ts";
import { isSameSchedule, scheduleOf } from "./schedule.ts";
import { changedSnapshotMethod, type SnapshotFlags } from "./snapshot-method.ts";

/**
 * What a person says about an instance, as text: enum values in any case, with `-` or `_`, as `gcloud memorystore` takes
 * them. What is absent is left as it is, or takes Memorystore's default.
 */
export interface InstanceFlags extends ScheduleFlags, MaintenanceFlags, SnapshotFlags {
  /** `HOST:PORT`; an IPv6 address stands in brackets. */
  endpoint?: string | undefined;
  location?: string | undefined;
  /** `cluster-disabled` or `cluster`. */
  mode?: string | undefined;
  /** One of Memorystore's, such as `highmem-medium`; a newer one than we know of is taken too. */
  nodeType?: string | undefined;
  /** 1 to 250. */
  shardCount?: string | undefined;
  /** 0 to 250. */
  replicaCount?: string | undefined;
  /** `prefer-replica`, `replica-only` or `primary`. */
  source?: string | undefined;
  /** 1 to 250. */
  maxParallelShards?: string | undefined;
  /** `disabled` (or `transit-encryption-disabled`) or `server-authentication`. */
  transitEncryptionMode?: string | undefined;
  /** PEM. */
  caCertificate?: string | undefined;
  authUser?: string | undefined;
  /** `env:NAME` or `file:PATH`. */
  authSecret?: string | undefined;
  /** `26h`; `schedule`: what the schedule implies, again. */
  backupObjective?: string | undefined;
  /** `active` or `updating`. */
  state?: string | undefined;
  deletionProtectionEnabled?: boolean | undefined;
  /** Forgets the user and the reference to the password. */
  clearAuth?: boolean | undefined;
}

const modes = { CLUSTER_DISABLED: "CLUSTER_DISABLED", CLUSTER: "CLUSTER" } as const;
const transitModes = {
  DISABLED: "TRANSIT_ENCRYPTION_DISABLED",
  TRANSIT_ENCRYPTION_DISABLED: "TRANSIT_ENCRYPTION_DISABLED",
  SERVER_AUTHENTICATION: "SERVER_AUTHENTICATION",
} as const;

const sources = { PREFER_REPLICA: "PREFER_REPLICA", REPLICA_ONLY: "REPLICA_ONLY", PRIMARY: "PRIMARY" } as const;

const states = { ACTIVE: "ACTIVE", UPDATING: "UPDATING" } as const;

/** A self-managed instance as it is registered. INVALID_ARGUMENT names the first flag that is wrong and what was expected. */
export function newInstance(
  flags: InstanceFlags & { id: string; endpoint: string; location: string },
  uid: string,
  now: string,
): Instance {
  const fresh: Instance = {
    name: instanceName(flags.id),
    uid,
    engine: "SELF_MANAGED",
    mode: "CLUSTER_DISABLED",
    endpoint: endpointOf(flags.endpoint),
    transitEncryptionMode: "TRANSIT_ENCRYPTION_DISABLED",
    location: locationOf(flags.location),
    shardCount: 1,
    replicaCount: 0,
    automatedBackupConfig: { automatedBackupMode: "DISABLED", retentionSeconds: retentionSeconds(undefined) },
    deletionProtectionEnabled: false,
    createTime: now,
  };
  return changedInstance(fresh, flags, now);
}

/** The instance with what the flags say changed. Its certificate goes when the encryption does. */
export function changedInstance(instance: Instance, flags: InstanceFlags, now: string): Instance {
  const { endpoint, location, mode, nodeType, shardCount, replicaCount } = flags;
  const { transitEncryptionMode, source, maxParallelShards, state, deletionProtectionEnabled } = flags;
  const {
    caCertificate: oldCa,
    authUser: oldUser,
    authSecret: oldSecret,
    backupObjective: oldObjective,
    maintenancePolicy: oldMaintenance,
    snapshotMethod: _method,
    dataDirectory: _directory,
    maxKeysPerSecond: _rate,
    seeds,
    ...rest
  } = instance;
  const encryption =
    transitEncryptionMode === undefined
      ? instance.transitEncryptionMode
      : oneOf("transit encryption mode", transitEncryptionMode, transitModes);
  const isEncrypted = encryption === "SERVER_AUTHENTICATION";
  if (!isEncrypted && flags.caCertificate !== undefined)
    throw invalid("a CA certificate is of use only with transit encryption mode server-authentication");
  const caCertificate = isEncrypted ? (certificateOf(flags.caCertificate) ?? oldCa) : undefined;
  const authUser = userOf(flags.authUser) ?? (flags.clearAuth ? undefined : oldUser);
  const authSecret = secretReferenceOf(flags.authSecret) ?? (flags.clearAuth ? undefined : oldSecret);
  const backupObjective = changedObjective(oldObjective, flags.backupObjective);
  const maintenancePolicy = changedMaintenance(oldMaintenance, flags);
  const newMode = mode === undefined ? instance.mode : oneOf("mode", mode, modes);
  const after = {
    ...rest,
    ...(endpoint !== undefined && { endpoint: endpointOf(endpoint) }),
    ...(location !== undefined && { location: locationOf(location) }),
    mode: newMode,
    ...(nodeType !== undefined && { nodeType: nodeTypeOf(nodeType) }),
    ...(shardCount !== undefined && { shardCount: countOf("shard count", shardCount, 1) }),
    ...(replicaCount !== undefined && { replicaCount: countOf("replica count", replicaCount, 0) }),
    ...(source !== undefined && { source: oneOf("source", source, sources) }),
    ...(maxParallelShards !== undefined && { maxParallelShards: countOf("max parallel shards", maxParallelShards, 1) }),
    transitEncryptionMode: encryption,
    ...(caCertificate !== undefined && { caCertificate }),
    ...(authUser !== undefined && { authUser }),
    ...(authSecret !== undefined && { authSecret }),
    automatedBackupConfig: changedConfig(instance.automatedBackupConfig, flags),
    ...(backupObjective !== undefined && { backupObjective }),
    ...(maintenancePolicy !== undefined && { maintenancePolicy }),
    ...changedSnapshotMethod(instance, newMode, flags),
    ...(state !== undefined && { state: oneOf("state", state, states) }),
    ...(deletionProtectionEnabled !== undefined && { deletionProtectionEnabled }),
  };
  // Nodes of another cluster would answer for this one.
  const isSame = seeds !== undefined && !isReachedAnew(instance, after);
  return stamped(instance, isSame ? { ...after, seeds } : after, now);
}

/** Says since when its schedule is what it is. */
function stamped(before: Instance, after: Instance, now: string): Instance {
  if (isSameSchedule(scheduleOf(before), scheduleOf(after))) return after;
  return { ...after, automatedBackupConfig: { ...after.automatedBackupConfig, changeTime: now } };
}

/** Whether another server, or another access to it, would be reached: not while something works on the instance. */
export function isReachedAnew(before: Instance, after: Instance): boolean {
  const fields = ["endpoint", "mode", "transitEncryptionMode", "caCertificate", "authUser", "authSecret"] as const;
  return fields.some((field) => before[field] !== after[field]);
}

/** Refuses with FAILED_PRECONDITION to delete an instance that is protected, and says how to end that. */
export function assertUnprotected({ name, deletionProtectionEnabled }: Instance): void {
  if (!deletionProtectionEnabled) return;
  const advice = `valkeep instances update ${parseInstanceName(name)} --no-deletion-protection-enabled ends that`;
  throw new StatusError("FAILED_PRECONDITION", `${name} is protected from deletion; ${advice}`);
}

/** `HOST:PORT` in one spelling, the host in small letters; no scheme, and an IPv6 address in brackets. */
export function endpointOf(text: string): string {
  const found = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):(\d{1,5})$/.exec(text);
  const host = found?.[1];
  const port = Number(found?.[3]);
  if (host !== undefined && port >= 1 && port <= 65_535) return `${host.toLowerCase()}:${port}`;
  throw invalid(`malformed endpoint ${shown(text)}: expected HOST:PORT without a scheme, such as 10.0.0.3:6379`);
}

/** The id of an instance that is known by its endpoint alone: `127.0.0.1:7002` is `at-127-0-0-1-7002`. */
export function instanceIdAt(endpoint: string): string {
  const words = endpoint.replaceAll(/[^a-z0-9]+/g, "-").replace(/^-/, "");
  return `at-${words}`.slice(0, 63).replace(/-+$/, "");
}

/** Checks a reference to a secret. The text is never repeated in the error: it may be the secret itself. */
function secretReferenceOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (/^env:[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text)) return text;
  const path = /^file:([\x21-\x7e]{1,500})$/.exec(text)?.[1];
  if (path !== undefined && !path.startsWith("/") && !path.split(/[/\\]/).includes("..")) return text;
  throw invalid(
    "malformed reference to a secret: expected env:NAME or file:PATH under the secrets directory, never the secret itself",
  );
}

function changedObjective(before: number | undefined, text: string | undefined): number | undefined {
  if (text === undefined) return before;
  return text === "schedule" ? undefined : objectiveSeconds(text);
}

function locationOf(text: string): string {
  if (/^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw invalid(`malformed location ${shown(text)}: expected a region such as asia-northeast1`);
}

function nodeTypeOf(text: string): string {
  const name = text.toUpperCase().replaceAll("-", "_");
  if (/^[A-Z][A-Z0-9_]{0,62}$/.test(name)) return name;
  throw invalid(`malformed node type ${shown(text)}: expected one such as highmem-medium`);
}

/** An instance of Memorystore has 250 nodes at most. */
function countOf(what: string, text: string, least: number): number {
  if (/^\d{1,3}$/.test(text) && Number(text) >= least && Number(text) <= 250) return Number(text);
  throw invalid(`malformed ${what} ${shown(text)}: expected ${least} to 250`);
}

function userOf(text: string | undefined): string | undefined {
  if (text === undefined || /^[\x21-\x7e]{1,128}$/.test(text)) return text;
  throw invalid("malformed ACL user: expected 1 to 128 printable characters without spaces");
}

function certificateOf(pem: string | undefined): string | undefined {
  if (pem === undefined || /-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----/.test(pem)) return pem;
  throw invalid("malformed CA certificate: expected PEM with a BEGIN CERTIFICATE line");
}

const shown = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
