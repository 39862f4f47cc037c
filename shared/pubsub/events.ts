import { setTimeout as sleep } from "node:timers/promises";
import { PubSub, type Topic } from "@google-cloud/pubsub";
import { topicOf } from "../backup/route.ts";
import { StatusError } from "../error.ts";
import type { Events } from "../pipeline/ports.ts";
import { translated } from "./error.ts";

/** Pub/Sub's largest message, data and attributes together: 10 MB (cloud.google.com/pubsub/quotas). */
const largestMessageBytes = 10_000_000;

/** Events whose connections can be ended. */
export interface PubsubEvents extends Events {
  /** Ends the connections. */
  close(): Promise<void>;
}

/**
 * Messages over Pub/Sub, each sent at once; PUBSUB_EMULATOR_HOST in the environment leads to an emulator. A publish ends
 * within `deadlineMs`, 30 s by default, with UNAVAILABLE at the latest; one that ended so may still be kept.
 */
export function createEvents(options: { projectId: string; deadlineMs?: number }): PubsubEvents {
  const { projectId, deadlineMs = 30_000 } = options;
  const pubsub = new PubSub({ projectId });
  const topics = new Map<string, Topic>();

  function topicNamed(id: string): Topic {
    const known = topics.get(id);
    if (known !== undefined) return known;
    // Whoever publishes waits for the answer: a batch would only keep them waiting.
    const topic = pubsub.topic(id, { batching: { maxMessages: 1 }, gaxOpts: { timeout: deadlineMs } });
    topics.set(id, topic);
    return topic;
  }

  return {
    async publish({ type, data, attributes }) {
      const id = topicOf(type);
      const what = `publishing to topic ${id}`;
      const bytes = encoded(what, data, attributes);
      try {
        await within(deadlineMs, what, topicNamed(id).publishMessage({ data: bytes, attributes }));
      } catch (error) {
        throw translated(error, what);
      }
    },
    close: () => pubsub.close(),
  };
}

function encoded(what: string, data: unknown, attributes: Record<string, string>): Buffer {
  const text = JSON.stringify(data);
  if (text === undefined) throw new StatusError("INVALID_ARGUMENT", `${what}: the data is not JSON`);
  const parts = [text, ...Object.entries(attributes).flat()];
  const sizeBytes = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 0);
  if (sizeBytes <= largestMessageBytes) return Buffer.from(text);
  const message = `${what}: ${sizeBytes} bytes are too large: expected at most ${largestMessageBytes}`;
  throw new StatusError("INVALID_ARGUMENT", message);
}

/** The library repeats a publish for minutes. */
async function within<T>(deadlineMs: number, what: string, call: Promise<T>): Promise<T> {
  const settled = new AbortController();
  const late = sleep(deadlineMs, undefined, { signal: settled.signal }).then(() => {
    throw new StatusError("UNAVAILABLE", `${what}: Pub/Sub gave no answer within ${deadlineMs / 1000} s`);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    settled.abort();
  }
}
