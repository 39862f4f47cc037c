import { z } from "zod";
import { StatusError } from "../error.ts";
import { graceSeconds, ttlSeconds } from "./duration.ts";
import { copyRetentionSeconds } from "./export-policy.ts";
import { severities } from "./finding.ts";
import {
  backupIdOf,
  bucketOf,
  instanceIdOf,
  parseBackupName,
  parseCollectionName,
  parseInstanceName,
  parseObjectUri,
  parseOperationName,
  parseSelectionObject,
  requestIdOf,
} from "./name.ts";
import { assertSchedule, longestCron } from "./schedule.ts";
import { conflictPolicies, expiryPolicies } from "./selection.ts";

const instanceId = checkedText(instanceIdOf);

const instance = checkedText(parseInstanceName);

const backup = checkedText(parseBackupName);

const backupId = checkedText(backupIdOf);

const collection = checkedText(parseCollectionName);

const requestId = checkedText(requestIdOf).optional();

const ttl = checkedText(ttlSeconds);

const duration = checkedText(graceSeconds);

const vaultPage = { startOffset: z.string().min(1).max(1024).optional(), page: z.int().min(1).optional() };

const bucket = checkedText(bucketOf);

const copyRetention = checkedText(copyRetentionSeconds).optional();

const reason = z.string().trim().min(1, "expected a reason").max(500);

const time = z.iso.datetime({ precision: 3, error: "expected a time such as 2027-01-31T00:00:00.000Z" });

const backupOrCollection = z
  .string()
  .regex(/^backupCollections\/[a-z0-9-]+(\/backups\/[a-z0-9_-]+)?$/)
  .max(200);

const operation = z.string().max(64);

const gcsSourceUris = z
  .array(checkedText(parseObjectUri))
  .min(1)
  .max(250)
  .refine((uris) => new Set(uris).size === uris.length, "names a file twice")
  .optional();

const maxKeysPerSecond = z.int().min(1).max(1_000_000).optional();

const schedule = z
  .strictObject({ cron: z.string().max(longestCron), timeZone: z.string().max(60) })
  .superRefine((value, context) => explained(context, () => assertSchedule(value)));

/** By which an alert is known: the finding's document, what it is and of which resource. */
const alert = { finding: z.string(), kind: z.string(), resource: z.string(), severity: z.enum(severities) };

/**
 * Every event, with the shape of its data. A request asks a function to act; a fact, in the past participle, says
 * what happened and triggers nothing by itself. The topic of an event is `valkeep.` and its type.
 */
export const events = {
  /**
   * Take a backup of an instance. `schedule` comes with a scheduled run and tells its slot. With `deleteInstance` the commit
   * that makes a FINAL backup ACTIVE takes the instance away.
   */
  "backup.v1.requested": z
    .strictObject({
      instance: instanceId,
      backupId: backupId.optional(),
      ttl: ttl.optional(),
      backupType: z.enum(["ON_DEMAND", "AUTOMATED", "FINAL"]).optional(),
      deleteInstance: z.boolean().optional(),
      schedule: schedule.optional(),
      requestId,
    })
    .refine(({ deleteInstance, backupType }) => deleteInstance !== true || backupType === "FINAL", {
      message: "an instance is deleted only with a backup of backupType FINAL",
      path: ["deleteInstance"],
    }),
  /** Store shards of a backup, one after the other: a lane. `round` counts how often the rest of one was asked for. */
  "shard.v1.requested": z.strictObject({
    backup,
    instance,
    shards: z
      .array(z.int().min(0).max(999))
      .min(1)
      .max(1000)
      .refine((shards) => new Set(shards).size === shards.length, "names a shard twice"),
    round: z.int().min(1).optional(),
    /** Ids of nodes that failed while they were read. */
    avoid: z.array(z.string().max(64)).max(100).optional(),
  }),
  /** Write the manifest of a backup whose files are all there, and make it ACTIVE. */
  "seal.v1.requested": z.strictObject({ backup }),
  /** Copy a backup to the operator's own regional bucket, and from there onward to another. */
  "export.v1.requested": z
    .strictObject({
      backup,
      gcsBucket: bucket,
      retention: copyRetention,
      onward: z.strictObject({ gcsBucket: bucket, retention: copyRetention }).optional(),
      /** Asked for by an instance's policy: if it is refused, somebody has to be told. */
      byPolicy: z.literal(true).optional(),
      requestId,
    })
    .refine(({ gcsBucket, onward }) => onward?.gcsBucket !== gcsBucket, {
      message: "onward names the same bucket again",
    }),
  /** Copy an exported backup onward, to a bucket in another region. */
  "copy.v1.requested": z.strictObject({ backup, sourceBucket: bucket, gcsBucket: bucket, retention: copyRetention }),
  /** Erase a copy whose time has come from the operator's bucket, where that of a newer backup stands. */
  "retirement.v1.requested": z.strictObject({ backup, gcsBucket: bucket, newerBackup: backup }),
  /** Find what has expired and ask for its deletion. */
  "sweep.v1.requested": z.strictObject({
    schedule: schedule.optional(),
    /** Of a further round: after what it goes on. */
    after: z.strictObject({ reviewTime: time, name: backupOrCollection, round: z.int().min(1) }).optional(),
    requestId,
  }),
  /** Put a tombstone on a backup; until its grace is over it can be undeleted. With `sweep`, if what that one decided still holds. */
  "deletion.v1.requested": z.strictObject({
    backup,
    grace: duration.optional(),
    sweep: operation.optional(),
    requestId,
  }),
  /** Take the tombstone away. */
  "undelete.v1.requested": z.strictObject({ backup, requestId }),
  /** Hold a backup, and its objects, for a reason: nothing takes it until it is released. */
  "hold.v1.requested": z.strictObject({ backup, reason, requestId }),
  /** Take the hold away. */
  "release.v1.requested": z.strictObject({ backup, requestId }),
  /** Let a backup expire at another time. */
  "expiry.v1.requested": z.strictObject({ backup, expireTime: time, requestId }),
  /** Erase a backup whose grace is over; with `operation`, only what that failed Operation left in the bucket. */
  "erasure.v1.requested": z.strictObject({ backup, operation: operation.optional() }),
  /**
   * Delete a collection: a tombstone on every backup, and the document goes with the last of them. Without `confirm` only an
   * empty one.
   */
  "dissolution.v1.requested": z.strictObject({
    collection,
    confirm: z.literal("delete").optional(),
    grace: duration.optional(),
    requestId,
  }),
  /** Put tombstones on the next backups, after `after`, of a collection that is being deleted. */
  "clearance.v1.requested": z.strictObject({
    collection,
    grace: duration.optional(),
    page: z.int().min(0),
    after: backup.optional(),
  }),
  /** Put down again what is missing of the catalogue, from the manifests in the vault; a later page begins at `startOffset`. */
  "rebuild.v1.requested": z.strictObject({ ...vaultPage, requestId }),
  /** Count the backups of the next collections after `after`, and correct their totals. */
  "recount.v1.requested": z.strictObject({ page: z.int().min(0), after: collection.optional() }),
  /** Erase what has lain in the vault of no backup for a week; a later page begins at `startOffset`. */
  "orphans.v1.requested": z.strictObject({ ...vaultPage, requestId }),
  /** Restore a backup, or RDB files or an AOF in a bucket, into an empty instance; with `dryRun` only check whether that would go. */
  "restore.v1.requested": z
    .strictObject({
      instance: instanceId,
      backup: backup.optional(),
      gcsSourceUris,
      dryRun: z.boolean().optional(),
      allowShrink: z.boolean().optional(),
      /** Refuse an AOF of which something would not be there afterwards, such as its torn tail. */
      strict: z.boolean().optional(),
      /** How many parts are loaded at once at most. */
      maxParallelLoads: z.int().min(1).max(100).optional(),
      requestId,
    })
    .refine((data) => (data.backup === undefined) !== (data.gcsSourceUris === undefined), {
      message: "expected one of backup and gcsSourceUris",
    }),
  /**
   * Restore the keys of a pattern into a live instance; without `execute` only tell what that would do. `selection` is the object in
   * the vault that holds the pattern, which may be the name of a key.
   */
  "selection.v1.requested": z
    .strictObject({
      instance: instanceId,
      backup: backup.optional(),
      gcsSourceUris,
      selection: checkedText(parseSelectionObject),
      database: z
        .int()
        .min(0)
        .max(2 ** 31 - 1)
        .optional(),
      conflictPolicy: z.enum(conflictPolicies).optional(),
      expiryPolicy: z.enum(expiryPolicies).optional(),
      maxKeysPerSecond,
      execute: z.boolean().optional(),
      requestId,
    })
    .refine((data) => (data.backup === undefined) !== (data.gcsSourceUris === undefined), {
      message: "expected one of backup and gcsSourceUris",
    }),
  /** Compare the next of the matching keys with those of the instance. */
  "matching.v1.requested": z.strictObject({ instance, round: z.int().min(0) }),
  /** Write the next of the matching keys into the instance, each after what it replaces lies in the vault. */
  "merge.v1.requested": z.strictObject({ instance, round: z.int().min(0) }),
  /**
   * Take back what a restore of single keys has done, where nobody has changed it since, or everywhere with `force`; without
   * `execute` only tell what that would do. A later round goes on `after` a group of keys, or `after` so many of its `entries`.
   */
  "undo.v1.requested": z.strictObject({
    restore: checkedText(parseOperationName),
    force: z.boolean().optional(),
    maxKeysPerSecond,
    execute: z.boolean().optional(),
    after: z
      .strictObject({
        round: z.int().min(1),
        group: z.string().regex(/^\d{3}-\d{15}$/),
        entries: z.int().min(1).optional(),
      })
      .optional(),
    requestId,
  }),
  /** A file landed in the inbox bucket: Cloud Storage's notification. */
  "object.v1.finalized": z.strictObject({
    bucket,
    object: z.string().min(1).max(1024),
    generation: z.string().regex(/^[1-9]\d{0,19}$/),
  }),
  /** Load one part of a restore into its target. */
  "part.v1.requested": z.strictObject({ instance, part: z.int().min(0).max(9999) }),
  /**
   * Replay the commands of an AOF: BEGIN marks the target, before anything is loaded; RUN carries them out, once the files are
   * loaded; END takes the mark away, and ABANDON that of an Operation which has ended before it came to that.
   */
  "replay.v1.requested": z
    .strictObject({
      instance,
      phase: z.enum(["BEGIN", "RUN", "END", "ABANDON"]),
      operation: checkedText(parseOperationName).optional(),
    })
    .refine(({ phase, operation }) => (phase === "ABANDON") === (operation !== undefined), {
      message: "ABANDON names an operation, and nothing else does",
      path: ["operation"],
    }),
  /** Compare a restored instance with what was to be loaded. */
  "verification.v1.requested": z.strictObject({ instance }),
  /** An instance was registered, changed or deleted: bring its Cloud Scheduler job in line. */
  "instance.v1.changed": z.strictObject({ instance: instanceId, requestId }),
  /** Every half hour: compare the Cloud Scheduler jobs with the instances, and make up for runs that were missed. */
  "reconciliation.v1.requested": z.strictObject({ schedule: schedule.optional(), requestId }),
  /** Every minute: go on with what was left behind. */
  "tick.v1": z.strictObject({}),
  /** Every quarter of an hour: look for what did not happen. */
  "watch.v1": z.strictObject({}),
  /** A backup is ACTIVE. */
  "backup.v1.created": z.strictObject({ backup }),
  /** A backup was copied to an operator's bucket and the copy was checked. */
  "backup.v1.exported": z.strictObject({ backup, gcsBucket: bucket }),
  /** An exported backup was copied onward and the copy was checked. */
  "backup.v1.copied": z.strictObject({ backup, gcsBucket: bucket }),
  /** A copy is gone from an operator's bucket. */
  "copy.v1.deleted": z.strictObject({ backup, gcsBucket: bucket }),
  /** A backup carries a tombstone. */
  "backup.v1.expired": z.strictObject({ backup, purgeTime: z.string() }),
  /** A backup is held. */
  "backup.v1.held": z.strictObject({ backup, reason }),
  /** A backup is no longer held. */
  "backup.v1.released": z.strictObject({ backup }),
  /** A tombstone was taken away. */
  "backup.v1.undeleted": z.strictObject({ backup }),
  /** A backup is gone. */
  "backup.v1.deleted": z.strictObject({ backup }),
  /** A collection that was deleted is gone with its last backup. */
  "collection.v1.deleted": z.strictObject({ collection }),
  /** An instance holds what a restore was to bring. */
  "instance.v1.restored": z.strictObject({ instance, source: z.string() }),
  /** Something is not as it should be, or is worse than it was told. */
  "alert.v1.raised": z.strictObject({ ...alert, message: z.string(), advice: z.string() }),
  /** It is in order again. */
  "alert.v1.cleared": z.strictObject(alert),
  /** An Operation failed for good. Refusals are not told: they alarm nobody. */
  "operation.v1.failed": z.strictObject({
    operation: z.string(),
    target: z.string(),
    code: z.string(),
    message: z.string(),
  }),
} as const;

export type EventType = keyof typeof events;

export type EventMap = { [T in EventType]: z.infer<(typeof events)[T]> };

export const eventTypes = Object.keys(events) as EventType[];

export const isEventType = (text: string): text is EventType => Object.hasOwn(events, text);

/** Checks an event's data; INVALID_ARGUMENT names the first field that is wrong and what was expected. */
export function parseEvent<T extends EventType>(type: T, data: unknown): EventMap[T] {
  const result = events[type].safeParse(data);
  if (result.success) return result.data as EventMap[T];
  const issue = result.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new StatusError(
    "INVALID_ARGUMENT",
    `${type}: ${field === "" ? "" : `${field}: `}${issue?.message ?? "malformed"}`,
  );
}

/** What a request is about, as far as one can tell before it is checked. */
export function targetOf(type: EventType, data: unknown): string {
  const { instance, backup, collection, restore, object, bucket } = (
    typeof data === "object" && data !== null ? data : {}
  ) as Record<string, unknown>;
  const isRestore = type === "restore.v1.requested" || type === "selection.v1.requested";
  if (typeof backup === "string" && !isRestore) return backup.slice(0, 200);
  if (typeof collection === "string") return collection.slice(0, 200);
  if (typeof restore === "string") return restore.slice(0, 200);
  if (typeof instance === "string")
    return instance.startsWith("instances/") ? instance.slice(0, 200) : `instances/${instance.slice(0, 64)}`;
  if (typeof object === "string" && typeof bucket === "string")
    return `gs://${bucket.slice(0, 64)}/${object.slice(0, 200)}`;
  return "";
}

function checkedText(check: (text: string) => unknown): z.ZodString {
  return z.string().superRefine((text, context) => explained(context, () => check(text)));
}

function explained(context: { addIssue(message: string): void }, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    context.addIssue(error.message);
  }
}
