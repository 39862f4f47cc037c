import type { CloudEvent } from "@google-cloud/functions-framework";
import type { EventType } from "../shared/backup/event.ts";
import { StatusError } from "../shared/error.ts";
import type { Incoming } from "../shared/pipeline/envelope.ts";

export type Topic = EventType | "dead-letter";

/** A message as Pub/Sub pushed it, and the topic that it came from. */
export interface Delivery extends Omit<Incoming, "type"> {
  topic: Topic;
}

/**
 * What functions-framework makes of a Pub/Sub push (`google.cloud.pubsub.topic.v1.messagePublished`), checked: any other body
 * reaches a function as it is. The topic is told by the event's source, which names it because the subscription's endpoint does,
 * and is one of `topics`; a function of one topic needs no telling.
 */
export function unpack(event: CloudEvent<unknown>, topics: readonly Topic[]): Delivery {
  const message = Object(Object(event?.data).message) as Record<string, unknown>;
  const { data = "", attributes = {}, messageId, publishTime } = message;
  if (typeof messageId !== "string" || typeof publishTime !== "string" || typeof data !== "string")
    throw new StatusError("INVALID_ARGUMENT", "the body is not a Pub/Sub push");
  const told = /\/topics\/valkeep\.([^/]+)$/.exec(event.source ?? "")?.[1];
  const topic = topics.find((name) => name === told) ?? (topics.length === 1 ? topics[0] : undefined);
  if (topic === undefined) throw new StatusError("INVALID_ARGUMENT", `the push tells no topic of ${topics.join(", ")}`);
  return {
    topic,
    messageId,
    publishTime,
    attributes: attributes as Record<string, string>,
    data: Buffer.from(data, "base64"),
  };
}
