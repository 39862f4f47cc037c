import { z } from "zod";
import type { StoredBucket } from "./bucket.ts";
import { invalid } from "./error.ts";
import type { StoredObject } from "./object.ts";
import type { Letter } from "./outbox.ts";

const eventTypes = ["OBJECT_FINALIZE", "OBJECT_DELETE", "OBJECT_METADATA_UPDATE", "OBJECT_ARCHIVE"] as const;

/** What happened to an object, in Cloud Storage's words. OBJECT_ARCHIVE never happens here: there is no versioning. */
export type EventType = (typeof eventTypes)[number];

const configSchema = z.object({
  topic: z.string().regex(/^\/\/pubsub\.googleapis\.com\/projects\/[a-z0-9:.-]+\/topics\/[\w.~+%-]{3,255}$/),
  payload_format: z.enum(["JSON_API_V1", "NONE"]),
  event_types: z.array(z.enum(eventTypes)).default([]),
  custom_attributes: z.record(z.string(), z.string()).default({}),
  object_name_prefix: z.string().default(""),
});

/** A bucket's wish to have its events published; no event types means all of them. */
export type NotificationConfig = z.infer<typeof configSchema> & { id: string };

/** Reads the body that creates a config. Its id is one more than the highest there is. */
export function newNotificationConfig(body: unknown, bucket: StoredBucket): NotificationConfig {
  const { success, data, error } = configSchema.safeParse(body);
  if (!success) throw invalid(`Invalid notification config: ${z.prettifyError(error)}`);
  const id = Math.max(0, ...bucket.notificationConfigs.map((config) => Number(config.id))) + 1;
  return { ...data, id: String(id) };
}

/** A config as the API shows it. */
export function notificationResource(config: NotificationConfig, bucket: string, baseUrl: string): object {
  const selfLink = `${baseUrl}/storage/v1/b/${bucket}/notificationConfigs/${config.id}`;
  return { kind: "storage#notification", selfLink, etag: config.id, ...config };
}

/** An event of an object, with what only that event's messages say (`overwroteGeneration` and its reverse). */
export interface ObjectEvent {
  eventType: EventType;
  object: StoredObject;
  /** The object's resource, which becomes the message's data. */
  resource: Record<string, unknown>;
  extra?: Record<string, string>;
}

/**
 * The messages that a bucket's configs ask for about an event, with the attributes of
 * https://cloud.google.com/storage/docs/pubsub-notifications#attributes.
 */
export function lettersAbout(event: ObjectEvent, bucket: StoredBucket, now: Date): Letter[] {
  const { eventType, object, resource, extra } = event;
  return bucket.notificationConfigs
    .filter((config) => config.event_types.length === 0 || config.event_types.includes(eventType))
    .filter((config) => object.name.startsWith(config.object_name_prefix))
    .map((config) => ({
      topic: config.topic.replace("//pubsub.googleapis.com/", ""),
      time: now.toISOString(),
      attributes: {
        ...config.custom_attributes,
        notificationConfig: `projects/_/buckets/${bucket.name}/notificationConfigs/${config.id}`,
        eventType,
        payloadFormat: config.payload_format,
        bucketId: bucket.name,
        objectId: object.name,
        objectGeneration: String(object.generation),
        eventTime: now.toISOString(),
        ...extra,
      },
      data: config.payload_format === "NONE" ? "" : JSON.stringify(resource),
    }));
}
