import { z } from "zod";
import type { StoredBucket } from "./bucket.ts";
import { invalid, unimplemented } from "./error.ts";
import { retentionExpirationTime } from "./retention.ts";

const text = z.string().nullish();
const value = z.union([z.string(), z.number(), z.boolean()]).transform(String).nullable();

/** The part of an object's resource that a client may write. Anything else in a body is passed over, as Google does. */
const settingsSchema = z.object({
  contentType: text,
  contentEncoding: text,
  contentDisposition: text,
  contentLanguage: text,
  cacheControl: text,
  storageClass: text,
  customTime: z.iso.datetime({ offset: true }).nullish(),
  temporaryHold: z.boolean().nullish(),
  eventBasedHold: z.boolean().nullish(),
  metadata: z.record(z.string(), value).nullish(),
});

/** A body's writable fields; `null` takes a field, or a key of `metadata`, away. */
export type ObjectPatch = z.infer<typeof settingsSchema>;

/** An object's writable fields as they are kept. */
export type ObjectSettings = { [field in keyof Omit<ObjectPatch, "metadata">]?: Exclude<ObjectPatch[field], null> } & {
  metadata?: Record<string, string>;
};

/** A live object as its file on disk has it. */
export interface StoredObject {
  bucket: string;
  name: string;
  /** The id of the contents, which are never changed. */
  bytes: string;
  sizeBytes: number;
  /** Microseconds, as Google's are, and higher than any given before. */
  generation: number;
  metageneration: number;
  createTime: string;
  updateTime: string;
  crc32c: string;
  /** Known for small objects and where a client stated it, as composite objects lack it in Cloud Storage too. */
  md5Hash?: string;
  /** How many objects a composite one was made from. */
  componentCount?: number;
  /** When an event-based hold was released: a bucket's retention counts from there. */
  eventHoldReleaseTime?: string;
  settings: ObjectSettings;
}

const unsupportedFields = ["acl", "retention", "contexts", "kmsKeyName", "customerEncryption"];

/** Reads the writable fields of an object resource, and refuses those that this server could not honour. */
export function readObjectPatch(body: unknown): ObjectPatch {
  for (const field of unsupportedFields) {
    if (typeof body === "object" && body !== null && Object.hasOwn(body, field))
      throw unimplemented(`objects.${field}`);
  }
  const { success, data, error } = settingsSchema.safeParse(body ?? {});
  if (!success) throw invalid(`Invalid object resource: ${z.prettifyError(error)}`);
  return data;
}

/** What settings become by a patch: a field that it lacks stays, `null` takes one away, `metadata` is merged by key. */
export function patchSettings(settings: ObjectSettings, patch: ObjectPatch): ObjectSettings {
  const { metadata, ...fields } = patch;
  if (settings.customTime !== undefined && fields.customTime !== undefined) {
    const goesBack = fields.customTime === null || Date.parse(fields.customTime) < Date.parse(settings.customTime);
    if (goesBack) throw invalid("customTime cannot be removed or set to an earlier time");
  }
  const merged = metadata === null ? {} : { ...settings.metadata, ...metadata };
  const patched = withoutNulls({ ...settings, ...fields });
  delete patched.metadata;
  const kept = withoutNulls(merged);
  return Object.keys(kept).length > 0 ? { ...patched, metadata: kept } : patched;
}

function withoutNulls<T extends object>(record: T): { [key in keyof T]: Exclude<T[key], null | undefined> } {
  const entries = Object.entries(record).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(entries) as { [key in keyof T]: Exclude<T[key], null | undefined> };
}

/** Refuses the names that Cloud Storage refuses (https://cloud.google.com/storage/docs/objects#naming). */
export function checkObjectName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0) throw invalid("Required object name is missing");
  if (bytes > 1024) throw invalid(`The object name is ${bytes} bytes long; the most is 1024`);
  const reserved = name === "." || name === ".." || name.startsWith(".well-known/acme-challenge/");
  if (reserved || /[\r\n]/.test(name) || !name.isWellFormed())
    throw invalid(`Invalid object name: ${JSON.stringify(name)}`);
}

/** An object as the API shows it. `baseUrl` is this server's address. */
export function objectResource(object: StoredObject, bucket: StoredBucket, baseUrl: string): Record<string, unknown> {
  const path = `/storage/v1/b/${object.bucket}/o/${encodeURIComponent(object.name)}`;
  const { bucket: bucketName, name, generation, createTime } = object;
  return {
    kind: "storage#object",
    id: `${bucketName}/${name}/${generation}`,
    selfLink: `${baseUrl}${path}`,
    mediaLink: `${baseUrl}/download${path}?generation=${generation}&alt=media`,
    name,
    bucket: bucketName,
    generation: String(generation),
    metageneration: String(object.metageneration),
    storageClass: bucket.storageClass,
    ...object.settings,
    size: String(object.sizeBytes),
    crc32c: object.crc32c,
    md5Hash: object.md5Hash,
    componentCount: object.componentCount,
    etag: etag(object),
    timeCreated: createTime,
    updated: object.updateTime,
    timeStorageClassUpdated: createTime,
    timeFinalized: createTime,
    retentionExpirationTime: retentionExpirationTime(object, bucket)?.toISOString(),
  };
}

/** Changes whenever an object or a bucket does. */
export function etag(versioned: { generation: number; metageneration: number }): string {
  return Buffer.from(`${versioned.generation}/${versioned.metageneration}`).toString("base64");
}
