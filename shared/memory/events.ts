import type { EventType } from "../backup/event.ts";
import { topicOf } from "../backup/route.ts";
import { StatusError } from "../error.ts";
import type { Events, Message } from "../pipeline/ports.ts";

/** Pub/Sub's largest message, data and attributes together: 10 MB (cloud.google.com/pubsub/quotas). */
const largestMessageBytes = 10_000_000;

/** A message as a subscriber sees it. */
export interface PublishedMessage extends Message {
  messageId: string;
}

/** Events with the subscriber's side of them. */
export interface MemoryEvents extends Events {
  /** Everything that was ever published, the oldest first. */
  readonly messages: readonly PublishedMessage[];
  /** What was published and not taken yet, the oldest first. */
  take(): PublishedMessage[];
  /** Calls back with every message from now on, as it is published; answers how to end it. */
  subscribe(listener: (message: PublishedMessage) => void): () => void;
}

/** Messages in memory. A topic in `missingTopics` answers UNAVAILABLE, as one that nobody made. */
export function createMemoryEvents(options: { missingTopics?: ReadonlySet<EventType> } = {}): MemoryEvents {
  const messages: PublishedMessage[] = [];
  const listeners = new Set<(message: PublishedMessage) => void>();
  let taken = 0;
  return {
    messages,
    async publish({ type, data, attributes }) {
      if (options.missingTopics?.has(type))
        throw new StatusError("UNAVAILABLE", `publishing to topic ${topicOf(type)}: there is no such topic: create it`);
      const text = JSON.stringify(data);
      if (text === undefined)
        throw new StatusError("INVALID_ARGUMENT", `publishing to topic ${topicOf(type)}: the data is not JSON`);
      assertSize(type, text, attributes);
      const message = {
        type,
        data: JSON.parse(text) as unknown,
        attributes: { ...attributes },
        messageId: String(messages.length + 1),
      };
      messages.push(message);
      for (const listener of [...listeners]) listener(message);
    },
    take() {
      const fresh = messages.slice(taken);
      taken = messages.length;
      return fresh;
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function assertSize(type: EventType, text: string, attributes: Record<string, string>): void {
  const parts = [text, ...Object.entries(attributes).flat()];
  const sizeBytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  if (sizeBytes <= largestMessageBytes) return;
  const message = `publishing to topic ${topicOf(type)}: ${sizeBytes} bytes are too large: expected at most ${largestMessageBytes}`;
  throw new StatusError("INVALID_ARGUMENT", message);
}
