import { type Message, PubSub } from "@google-cloud/pubsub";
import { type EventType, eventTypes } from "../../shared/backup/event.ts";
import { routes, topicOf } from "../../shared/backup/route.ts";
import type { Stage } from "./stage.ts";

/** Listens to every topic, and can bring each message again as Pub/Sub would. */
export interface Recorder {
  /** Messages so far. */
  readonly count: number;
  /** What was published, in the order in which it came. */
  readonly messages: { type: EventType; data: unknown; attributes: Record<string, string> }[];
  /** Pushes every message that was recorded so far to the functions that hear it, twice at once. Answers the statuses. */
  redeliver(): Promise<number[]>;
  close(): Promise<void>;
}

interface Recorded {
  type: EventType;
  message: Message;
}

/** Begins to record: only what is published from now on. */
export async function startRecorder({ stack }: Stage): Promise<Recorder> {
  const pubsub = new PubSub({
    projectId: stack.stack.projectId,
    apiEndpoint: stack.stack.pubsub.host,
    emulatorMode: true,
  });
  const recorded: Recorded[] = [];
  const subscriptions = await Promise.all(
    eventTypes.map(async (type) => {
      const [subscription] = await pubsub.topic(topicOf(type)).createSubscription(`recorder.${type}`);
      subscription.on("message", (message: Message) => {
        recorded.push({ type, message });
        message.ack();
      });
      return subscription;
    }),
  );

  async function push({ type, message }: Recorded): Promise<number[]> {
    const { id, publishTime, data, attributes } = message;
    const body = JSON.stringify({
      message: { messageId: id, publishTime: publishTime.toISOString(), data: data.toString("base64"), attributes },
      subscription: `projects/${stack.stack.projectId}/subscriptions/redelivered`,
    });
    const hearers = Object.entries(routes).filter(([, heard]) => (heard as readonly string[]).includes(type));
    const urls = hearers.map(([name]) => `${stack.stack.functions[name]}/projects/p/topics/${topicOf(type)}`);
    const headers = { "content-type": "application/json" };
    return await Promise.all(
      [...urls, ...urls].map(async (url) => (await fetch(url, { method: "POST", headers, body })).status),
    );
  }

  return {
    get count() {
      return recorded.length;
    },
    get messages() {
      return recorded.map(({ type, message }) => ({
        type,
        data: JSON.parse(message.data.toString()) as unknown,
        attributes: message.attributes,
      }));
    },
    async redeliver() {
      const statuses: number[] = [];
      for (const one of [...recorded]) statuses.push(...(await push(one)));
      return statuses;
    },
    async close() {
      await Promise.all(subscriptions.map((subscription) => subscription.delete()));
      await pubsub.close();
    },
  };
}
