import { StatusError } from "../error.ts";
import type { Instance } from "./backup.ts";
import { parseDuration, ttlBounds } from "./duration.ts";
import type { EventMap } from "./event.ts";
import { bucketOf } from "./name.ts";
import { createCalendar } from "./period.ts";
import { assertTimeZone } from "./time-zone.ts";

const exportFrequencies = ["EVERY", "WEEKLY", "MONTHLY"] as const;

/** Which AUTOMATED backups of an instance are copied to buckets of the operator's, once they are ACTIVE. */
export interface ExportPolicy {
  /** All of them, or the first of each ISO week or month. */
  frequency: (typeof exportFrequencies)[number];
  /** IANA; where weeks and months begin. UTC where absent. */
  timeZone?: string;
  /** Regional, in the instance's location. */
  gcsBucket: string;
  /** How long a copy is kept there; for ever where absent. */
  retentionSeconds?: number;
  /** A second bucket, regional and anywhere, that is copied to from the first. */
  onward?: { gcsBucket: string; retentionSeconds?: number };
}

/** The system's own buckets. */
export interface OwnBuckets {
  vaultBucket: string;
  inboxBucket: string;
}

/** What a person says about an export policy, as text. What is absent is left as it is. */
export interface ExportPolicyFlags {
  /** `every`, `weekly` or `monthly`: the policy is set anew, of these flags alone. */
  frequency?: string | undefined;
  timeZone?: string | undefined;
  gcsBucket?: string | undefined;
  /** `1d` to `36500d`. */
  retention?: string | undefined;
  onwardGcsBucket?: string | undefined;
  onwardRetention?: string | undefined;
  /** Ends the policy. */
  isCleared?: boolean | undefined;
}

/** The policy with what the flags say changed. INVALID_ARGUMENT names what is wrong or missing, and what was expected. */
export function changedExportPolicy(
  before: ExportPolicy | undefined,
  flags: ExportPolicyFlags,
): ExportPolicy | undefined {
  const { isCleared, ...settings } = flags;
  const isGiven = Object.values(settings).some((value) => value !== undefined);
  if (isCleared && isGiven) throw invalid("it cannot be ended and set at once");
  if (isCleared) return undefined;
  if (!isGiven) return before;
  const base = settings.frequency === undefined ? before : undefined;
  const frequency = settings.frequency === undefined ? base?.frequency : frequencyOf(settings.frequency);
  if (frequency === undefined) throw invalid("there is none to be changed: say how often, every, weekly or monthly");
  const gcsBucket = settings.gcsBucket === undefined ? base?.gcsBucket : bucketOf(settings.gcsBucket);
  if (gcsBucket === undefined) throw invalid("it needs a bucket to export to");
  const timeZone = settings.timeZone ?? base?.timeZone;
  const retentionSeconds = copyRetentionSeconds(settings.retention) ?? base?.retentionSeconds;
  const onward = onwardOf(base?.onward, settings);
  const policy = {
    frequency,
    ...(timeZone !== undefined && { timeZone }),
    gcsBucket,
    ...(retentionSeconds !== undefined && { retentionSeconds }),
    ...(onward !== undefined && { onward }),
  };
  assertSound(policy);
  return policy;
}

/** The instance with its export policy changed by the flags. FAILED_PRECONDITION: it would export to one of the system's own buckets. */
export function withExportPolicy(instance: Instance, flags: ExportPolicyFlags, own: OwnBuckets): Instance {
  const { exportPolicy: before, ...rest } = instance;
  const exportPolicy = changedExportPolicy(before, flags);
  if (exportPolicy === undefined) return rest;
  assertForeign(exportPolicy.gcsBucket, own);
  if (exportPolicy.onward !== undefined) assertForeign(exportPolicy.onward.gcsBucket, own);
  return { ...rest, exportPolicy };
}

/** How long a copy is kept, in seconds; `undefined`, for ever, where nobody says. Refuses less than a day and more than 100 years. */
export function copyRetentionSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds >= ttlBounds.least && seconds <= ttlBounds.most) return seconds;
  throw new StatusError(
    "INVALID_ARGUMENT",
    `retention ${text} of a copy is out of bounds: expected 1d to 36500d (100 years)`,
  );
}

/** Refuses the system's own buckets as the target of a copy. */
export function assertForeign(bucket: string, own: OwnBuckets): void {
  if (bucket !== own.vaultBucket && bucket !== own.inboxBucket) return;
  const which =
    bucket === own.vaultBucket ? "the vault: the backups are there already" : "the inbox: what lands there is restored";
  throw new StatusError("FAILED_PRECONDITION", `gs://${bucket} is ${which}; export to a bucket of your own`);
}

/** The period that a backup of this time is exported for: of each, the first one goes. */
export function exportPeriod({ frequency, timeZone = "Etc/UTC" }: ExportPolicy, createTime: string): string {
  switch (frequency) {
    case "EVERY":
      return createTime;
    case "WEEKLY":
      return createCalendar(timeZone)(createTime, "week");
    case "MONTHLY":
      return createCalendar(timeZone)(createTime, "month");
  }
}

/** What a policy asks for. */
export function exportAsked(
  { gcsBucket, retentionSeconds, onward }: ExportPolicy,
  backup: string,
): EventMap["export.v1.requested"] {
  const lasting = (seconds: number | undefined) => seconds !== undefined && { retention: `${seconds}s` };
  return {
    backup,
    gcsBucket,
    ...lasting(retentionSeconds),
    ...(onward !== undefined && { onward: { gcsBucket: onward.gcsBucket, ...lasting(onward.retentionSeconds) } }),
    byPolicy: true,
  };
}

function onwardOf(
  before: ExportPolicy["onward"],
  { onwardGcsBucket, onwardRetention }: ExportPolicyFlags,
): ExportPolicy["onward"] {
  const gcsBucket = onwardGcsBucket === undefined ? before?.gcsBucket : bucketOf(onwardGcsBucket);
  const retentionSeconds = copyRetentionSeconds(onwardRetention) ?? before?.retentionSeconds;
  if (gcsBucket !== undefined) return { gcsBucket, ...(retentionSeconds !== undefined && { retentionSeconds }) };
  if (onwardRetention !== undefined) throw invalid("a retention onward is of use only with a bucket onward");
  return undefined;
}

function assertSound({ gcsBucket, onward, timeZone = "Etc/UTC" }: ExportPolicy): void {
  if (onward?.gcsBucket === gcsBucket)
    throw invalid(`it names gs://${gcsBucket} twice: expected another bucket to copy onward to`);
  assertTimeZone(timeZone);
}

function frequencyOf(text: string): ExportPolicy["frequency"] {
  const found = exportFrequencies.find((value) => value === text.toUpperCase());
  if (found !== undefined) return found;
  throw invalid(`unknown frequency ${JSON.stringify(text.slice(0, 40))}: expected every, weekly or monthly`);
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", `export policy: ${message}`);
