import { PubSub, type Subscription } from "@google-cloud/pubsub";
import { status } from "@grpc/grpc-js";
import { eventTypes } from "../../shared/backup/event.ts";
import { routes, topicOf } from "../../shared/backup/route.ts";

export interface MessagingOptions {
  projectId: string;
  /** The Pub/Sub emulator's "HOST:PORT". */
  host: string;
  /** Each function's URL; subscriptions are made for these only. */
  functions: Record<string, string>;
}

/**
 * Makes the topic of every event and, for each function, push subscriptions to the topics that it hears, with the
 * settings of production. What exists is kept, its push endpoint brought up to date.
 */
export async function createMessaging({ projectId, host, functions }: MessagingOptions): Promise<void> {
  const pubsub = new PubSub({ projectId, apiEndpoint: host, emulatorMode: true });
  try {
    const types = [...eventTypes, "dead-letter" as const];
    await Promise.all(types.map((type) => existing(pubsub.createTopic(topicOf(type)))));
    const pairs = Object.entries(routes).flatMap(([name, heard]) => heard.map((type) => ({ name, type })));
    await Promise.all(
      pairs.map(async ({ name, type }) => {
        const url = functions[name];
        if (url !== undefined) await subscribe(pubsub, `${topicOf(type)}.${name}`, topicOf(type), url);
      }),
    );
  } finally {
    await pubsub.close();
  }
}

async function subscribe(pubsub: PubSub, id: string, topic: string, url: string): Promise<void> {
  // functions-framework takes an event's source from this path.
  const pushEndpoint = `${url}/projects/${pubsub.projectId}/topics/${topic}`;
  const deadLetter = topicOf("dead-letter");
  const made = await existing<[Subscription, unknown]>(
    pubsub.topic(topic).createSubscription(id, {
      pushEndpoint,
      // The longest there is, and for a push also the request's timeout.
      ackDeadlineSeconds: 600,
      retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
      // Empty: it never expires.
      expirationPolicy: {},
      ...(topic === deadLetter
        ? {}
        : { deadLetterPolicy: { deadLetterTopic: pubsub.topic(deadLetter).name, maxDeliveryAttempts: 100 } }),
    }),
  );
  if (made === undefined) await pubsub.subscription(id).modifyPushConfig({ pushEndpoint });
}

/** `undefined` for what exists already. */
async function existing<T>(creation: Promise<T>): Promise<T | undefined> {
  try {
    return await creation;
  } catch (error) {
    if ((error as { code?: unknown }).code === status.ALREADY_EXISTS) return undefined;
    throw error;
  }
}
