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
 * What functions-framework makes of a Pub/Sub push (`google.cloud.pubsub.topic.v1.messagePublished`), checked. It passes on
 * as they are bodies that it does not recognise, and a message without data is one of them. The topic, one of `topics`, is
 * told by the event's source, which names it because the subscription's endpoint does; by the subscription, where that is
 * left; and a function of one topic needs no telling.
 */
export function unpack(event: CloudEvent<unknown>, topics: readonly Topic[]): Delivery {
  const body = Object(event?.data ?? event) as Record<string, unknown>;
  const message = Object(body.message) as Record<string, unknown>;
  const { data = "", attributes = {}, messageId, publishTime } = message;
  if (typeof messageId !== "string" || typeof publishTime !== "string" || typeof data !== "string")
    throw new StatusError("INVALID_ARGUMENT", "the body is not a Pub/Sub push");
  const told =
    /\/topics\/valkeep\.([^/]+)$/.exec(event.source ?? "") ??
    /\/subscriptions\/valkeep\.([^/]+)\.[^./]+$/.exec(String(body.subscription ?? ""));
  const topic = topics.find((name) => name === told?.[1]) ?? (topics.length === 1 ? topics[0] : undefined);
  if (topic === undefined) throw new StatusError("INVALID_ARGUMENT", `the push tells no topic of ${topics.join(", ")}`);
  return {
    topic,
    messageId,
    publishTime,
    attributes: attributes as Record<string, string>,
    data: Buffer.from(data, "base64"),
  };
}
