import { z } from "zod";
import { ApiError, invalid, unimplemented } from "./error.ts";
import { type Location, locate } from "./location.ts";
import type { NotificationConfig } from "./notification.ts";
import { etag } from "./object.ts";

/** A bucket as its file on disk has it. */
export interface StoredBucket extends Location {
  name: string;
  storageClass: string;
  createTime: string;
  updateTime: string;
  /** Buckets have only this version; preconditions on them see it beside the fixed generation. */
  metageneration: number;
  labels: Record<string, string>;
  uniformBucketLevelAccess: boolean;
  /** Absent, as in buckets of earlier versions: `inherited`. */
  publicAccessPrevention?: "enforced" | "inherited";
  /** Only kept and shown: what is deleted here is gone at once, and asking for it is answered with 501. */
  softDeleteSeconds?: number;
  defaultEventBasedHold: boolean;
  /** `retentionPeriod` in seconds, counted from an object's creation. */
  retentionPolicy?: { retentionPeriod: number; effectiveTime: string; isLocked: boolean };
  notificationConfigs: NotificationConfig[];
}

const softDeleteDuration = z.coerce.number().int().min(604_800).max(7_776_000);
const enabled = z.object({ enabled: z.boolean().optional() });

/** The writable fields of a bucket that this server honours; with `null` a patch takes one away. */
const bucketSchema = z.object({
  location: z.string().optional(),
  storageClass: z.string().optional(),
  labels: z.record(z.string(), z.string().nullable()).nullish(),
  iamConfiguration: z
    .object({
      uniformBucketLevelAccess: enabled.optional(),
      publicAccessPrevention: z.enum(["enforced", "inherited"]).optional(),
    })
    .optional(),
  // 0, or 7 to 90 days: https://cloud.google.com/storage/docs/soft-delete#retention-duration
  softDeletePolicy: z
    .object({ retentionDurationSeconds: z.union([z.literal(0), z.literal("0"), softDeleteDuration]) })
    .nullish(),
  defaultEventBasedHold: z.boolean().optional(),
  // At most 100 years: https://cloud.google.com/storage/docs/bucket-lock#retention-periods
  retentionPolicy: z.object({ retentionPeriod: z.coerce.number().int().min(1).max(3_155_760_000) }).nullish(),
});

export type BucketPatch = z.infer<typeof bucketSchema>;

/** Features that a bucket may ask for and this server lacks, each with what of it asks for nothing. */
const unsupported: Record<string, z.ZodType> = {
  acl: z.array(z.unknown()).length(0),
  defaultObjectAcl: z.array(z.unknown()).length(0),
  versioning: z.object({ enabled: z.literal(false) }),
  lifecycle: z.object({ rule: z.array(z.unknown()).length(0) }),
  billing: z.object({ requesterPays: z.literal(false) }),
  autoclass: z.object({ enabled: z.literal(false) }),
  hierarchicalNamespace: z.object({ enabled: z.literal(false) }),
  cors: z.array(z.unknown()).length(0),
  encryption: z.never(),
  website: z.never(),
  logging: z.never(),
  customPlacementConfig: z.never(),
  objectRetention: z.never(),
  ipFilter: z.never(),
};

/** Reads the writable fields of a bucket resource, and refuses those that this server could not honour. */
export function readBucketPatch(body: unknown): BucketPatch {
  for (const [field, asksForNothing] of Object.entries(unsupported)) {
    const value = typeof body === "object" && body !== null ? (body as Record<string, unknown>)[field] : undefined;
    if (value !== undefined && value !== null && !asksForNothing.safeParse(value).success)
      throw unimplemented(`buckets.${field}`);
  }
  const { success, data, error } = bucketSchema.safeParse(body ?? {});
  if (!success) throw invalid(`Invalid bucket resource: ${z.prettifyError(error)}`);
  return data;
}

/** A new bucket, named as https://cloud.google.com/storage/docs/buckets#naming allows. */
export function newBucket(name: unknown, patch: BucketPatch, now: Date): StoredBucket {
  const part = "[a-z0-9]([a-z0-9_-]*[a-z0-9])?";
  const isValid = typeof name === "string" && new RegExp(`^(?=.{3,222}$)${part}(\\.${part})*$`).test(name);
  const isShort = isValid && name.split(".").every((label) => label.length <= 63);
  if (!isShort || /^\d+\.\d+\.\d+\.\d+$/.test(name)) throw invalid(`Invalid bucket name: ${JSON.stringify(name)}`);
  const bucket: StoredBucket = {
    name,
    ...locate(patch.location),
    storageClass: patch.storageClass ?? "STANDARD",
    createTime: now.toISOString(),
    updateTime: now.toISOString(),
    metageneration: 0,
    labels: {},
    uniformBucketLevelAccess: false,
    defaultEventBasedHold: false,
    notificationConfigs: [],
  };
  return patchBucket(bucket, { ...patch, location: undefined }, now);
}

/** What a bucket becomes by a patch. A location cannot change, a locked retention policy can only be lengthened. */
export function patchBucket(bucket: StoredBucket, patch: BucketPatch, now: Date): StoredBucket {
  if (patch.location !== undefined && patch.location.toUpperCase() !== bucket.location) {
    throw invalid(`The location of bucket ${bucket.name} cannot be changed from ${bucket.location}`);
  }
  const labels = patch.labels === null ? {} : { ...bucket.labels, ...patch.labels };
  const patched: StoredBucket = {
    ...bucket,
    labels: Object.fromEntries(Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== null)),
    storageClass: patch.storageClass ?? bucket.storageClass,
    uniformBucketLevelAccess:
      patch.iamConfiguration?.uniformBucketLevelAccess?.enabled ?? bucket.uniformBucketLevelAccess,
    publicAccessPrevention:
      patch.iamConfiguration?.publicAccessPrevention ?? bucket.publicAccessPrevention ?? "inherited",
    softDeleteSeconds: Number(patch.softDeletePolicy?.retentionDurationSeconds ?? bucket.softDeleteSeconds ?? 0),
    defaultEventBasedHold: patch.defaultEventBasedHold ?? bucket.defaultEventBasedHold,
    metageneration: bucket.metageneration + 1,
    updateTime: now.toISOString(),
  };
  if (patch.retentionPolicy === undefined) return patched;
  const retentionPeriod = patch.retentionPolicy?.retentionPeriod ?? 0;
  const { isLocked = false, retentionPeriod: before = 0 } = bucket.retentionPolicy ?? {};
  if (isLocked && retentionPeriod < before) throw policyIsLocked(bucket);
  delete patched.retentionPolicy;
  if (patch.retentionPolicy === null) return patched;
  return { ...patched, retentionPolicy: { retentionPeriod, effectiveTime: now.toISOString(), isLocked } };
}

/** The bucket with its retention policy locked, for good. */
export function lockRetentionPolicy(bucket: StoredBucket, now: Date): StoredBucket {
  if (bucket.retentionPolicy === undefined) throw invalid(`Bucket ${bucket.name} has no retention policy to lock.`);
  const retentionPolicy = { ...bucket.retentionPolicy, isLocked: true };
  return { ...bucket, retentionPolicy, metageneration: bucket.metageneration + 1, updateTime: now.toISOString() };
}

function policyIsLocked(bucket: StoredBucket): ApiError {
  const message = `Cannot reduce retention duration of a locked Retention Policy for bucket '${bucket.name}'.`;
  return new ApiError(403, "forbidden", message);
}

/** A bucket as the API shows it. `baseUrl` is this server's address. */
export function bucketResource(bucket: StoredBucket, baseUrl: string): Record<string, unknown> {
  const { retentionPolicy, labels } = bucket;
  return {
    kind: "storage#bucket",
    id: bucket.name,
    name: bucket.name,
    selfLink: `${baseUrl}/storage/v1/b/${bucket.name}`,
    projectNumber: "0",
    location: bucket.location,
    locationType: bucket.locationType,
    storageClass: bucket.storageClass,
    timeCreated: bucket.createTime,
    updated: bucket.updateTime,
    metageneration: String(bucket.metageneration),
    etag: etag({ generation: 0, metageneration: bucket.metageneration }),
    labels: Object.keys(labels).length > 0 ? labels : undefined,
    defaultEventBasedHold: bucket.defaultEventBasedHold,
    softDeletePolicy: { retentionDurationSeconds: String(bucket.softDeleteSeconds ?? 0) },
    iamConfiguration: {
      uniformBucketLevelAccess: { enabled: bucket.uniformBucketLevelAccess },
      publicAccessPrevention: bucket.publicAccessPrevention ?? "inherited",
    },
    retentionPolicy: retentionPolicy && {
      retentionPeriod: String(retentionPolicy.retentionPeriod),
      effectiveTime: retentionPolicy.effectiveTime,
      isLocked: retentionPolicy.isLocked || undefined,
    },
  };
}
