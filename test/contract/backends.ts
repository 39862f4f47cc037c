import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PubSub } from "@google-cloud/pubsub";
import { startFirestore, startPubsub } from "../../infra/local/emulators.ts";
import { onFreePort } from "../../infra/local/port.ts";
import { startScheduler } from "../../infra/local/scheduler/server.ts";
import { startStorage } from "../../infra/local/storage/server.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { topicOf } from "../../shared/backup/route.ts";
import { createFirestore, createStore } from "../../shared/firestore/store.ts";
import { createObjects } from "../../shared/gcs/objects.ts";
import type { Limits } from "../../shared/gcs/patience.ts";
import { createVirtualClock } from "../../shared/memory/clock.ts";
import { createMemoryEvents } from "../../shared/memory/events.ts";
import { createMemoryObjects } from "../../shared/memory/objects.ts";
import { createMemoryScheduler } from "../../shared/memory/scheduler.ts";
import { createMemoryStore } from "../../shared/memory/store.ts";
import type { BucketInfo, Events, Message, Objects, Scheduler, Store } from "../../shared/pipeline/ports.ts";
import { createEvents } from "../../shared/pubsub/events.ts";
import { createScheduler } from "../../shared/scheduler/scheduler.ts";

/** One implementation of a port, started, with whatever the contract needs beside it. */
export interface Backend<Subject> {
  name: string;
  start(): Promise<Subject & { stop(): Promise<void> }>;
}

const nothing = async (): Promise<void> => undefined;

/** Every store. */
export const storeBackends: Backend<{ store: Store }>[] = [
  { name: "memory", start: async () => ({ store: createMemoryStore(), stop: nothing }) },
  {
    name: "Firestore",
    async start() {
      const emulator = await onFreePort(undefined, (port) => startFirestore({ port }));
      const restore = setVariable("FIRESTORE_EMULATOR_HOST", emulator.host);
      const firestore = createFirestore({ projectId: freshProject() });
      return {
        store: createStore(firestore),
        async stop() {
          await firestore.terminate();
          restore();
          await emulator.stop();
        },
      };
    },
  },
];

/** The buckets of every backend of objects. */
export const buckets: Record<string, BucketInfo> = {
  vault: {
    location: "europe-west1",
    locationType: "region",
    protection: {
      publicAccessPrevention: "enforced",
      uniformBucketLevelAccess: true,
      versioning: false,
      softDeleteSeconds: 604_800,
      retentionSeconds: 0,
    },
  },
  "copies-bucket": {
    location: "eu",
    locationType: "multi-region",
    protection: {
      publicAccessPrevention: "inherited",
      uniformBucketLevelAccess: false,
      versioning: false,
      softDeleteSeconds: 0,
      retentionSeconds: 0,
    },
  },
};

/** The same in the words of Cloud Storage. */
const resourceOf = ({ location, protection }: BucketInfo) => ({
  location,
  iamConfiguration: {
    publicAccessPrevention: protection.publicAccessPrevention,
    uniformBucketLevelAccess: { enabled: protection.uniformBucketLevelAccess },
  },
  softDeletePolicy: { retentionDurationSeconds: String(protection.softDeleteSeconds) },
});

/** What a contract of objects needs beside the port. */
export interface ObjectsSubject {
  objects: Objects;
  /** Puts a hold on an object that keeps it from being removed. */
  hold(bucket: string, object: string): Promise<void>;
  /** Gives a bucket a retention policy of so many seconds; 0 takes it away. */
  retain(bucket: string, seconds: number): Promise<void>;
}

/** Every home of objects. */
export const objectsBackends: Backend<ObjectsSubject>[] = [
  {
    name: "memory",
    async start() {
      const objects = createMemoryObjects(buckets, { now: () => Date.now() });
      return {
        objects,
        hold: async (bucket, object) => objects.hold(bucket, object),
        retain: async (bucket, seconds) => objects.retain(bucket, seconds),
        stop: nothing,
      };
    },
  },
  {
    name: "Cloud Storage",
    async start() {
      const server = await startStorageServer();
      return {
        objects: server.objects(),
        hold: (bucket, object) =>
          server.call("PATCH", `/storage/v1/b/${bucket}/o/${encodeURIComponent(object)}`, { temporaryHold: true }),
        retain: (bucket, seconds) =>
          server.call("PATCH", `/storage/v1/b/${bucket}`, {
            retentionPolicy: seconds === 0 ? null : { retentionPeriod: String(seconds) },
          }),
        stop: server.stop,
      };
    },
  },
];

/** A storage server of our own with the buckets made. */
export async function startStorageServer(): Promise<{
  objects(limits?: Limits): Objects;
  call(method: string, path: string, body?: unknown): Promise<void>;
  url: string;
  /** Ends it, cutting every connection, and starts it again where it was. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-contract-"));
  const options = { directory, host: "127.0.0.1", projectId: freshProject() } as const;
  let server = await startStorage({ ...options, port: 0 });
  const { url, port } = server;
  const call = async (method: string, path: string, body?: unknown): Promise<void> => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body ?? {}) });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  };
  for (const [name, info] of Object.entries(buckets))
    await call("POST", `/storage/v1/b?project=${options.projectId}`, { name, ...resourceOf(info) });
  return {
    objects: (limits) =>
      createObjects({ projectId: options.projectId, apiEndpoint: url, ...(limits === undefined ? {} : { limits }) }),
    call,
    url,
    async restart() {
      await server.close();
      server = await startStorage({ ...options, port });
    },
    async stop() {
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The only topics of every backend of events. */
export const topics: EventType[] = ["backup.v1.requested", "tick.v1"];

/** What a contract of events needs beside the port. */
export interface EventsSubject {
  events: Events;
  /** Waits until so many messages have arrived since the last call, and answers them. */
  arrived(count: number): Promise<Message[]>;
}

/** Every carrier of events. */
export const eventsBackends: Backend<EventsSubject>[] = [
  {
    name: "memory",
    async start() {
      const missingTopics = new Set<EventType>(["sweep.v1.requested"]);
      const events = createMemoryEvents({ missingTopics });
      const arrived = async () => events.take().map(({ type, data, attributes }) => ({ type, data, attributes }));
      return { events, arrived, stop: nothing };
    },
  },
  {
    name: "Pub/Sub",
    async start() {
      const emulator = await onFreePort(undefined, (port) => startPubsub({ port }));
      const restore = setVariable("PUBSUB_EMULATOR_HOST", emulator.host);
      const projectId = freshProject();
      const listener = await startListener(projectId);
      const events = createEvents({ projectId });
      return {
        events,
        arrived: listener.arrived,
        async stop() {
          await events.close();
          await listener.close();
          restore();
          await emulator.stop();
        },
      };
    },
  },
];

/** Makes the topics, and hears them all. */
async function startListener(projectId: string) {
  const pubsub = new PubSub({ projectId });
  const messages: Message[] = [];
  let wake = () => {};
  for (const type of topics) {
    const [topic] = await pubsub.createTopic(topicOf(type));
    const [subscription] = await topic.createSubscription(`listener-${type}`);
    subscription.on("message", (message) => {
      const data: unknown = JSON.parse(message.data.toString());
      messages.push({ type, data, attributes: message.attributes });
      message.ack();
      wake();
    });
  }
  return {
    async arrived(count: number): Promise<Message[]> {
      while (messages.length < count) await new Promise<void>((resolve) => (wake = resolve));
      return messages.splice(0);
    },
    close: () => pubsub.close(),
  };
}

/** What a contract of schedulers needs beside the port. */
export interface SchedulerSubject {
  scheduler: Scheduler;
  /** Waits until so many jobs have fired since the last call, and answers what they published. */
  fired(count: number): Promise<Message[]>;
}

/** Every scheduler. */
export const schedulerBackends: Backend<SchedulerSubject>[] = [
  {
    name: "memory",
    async start() {
      const events = createMemoryEvents();
      const scheduler = createMemoryScheduler({ events, clock: createVirtualClock() });
      const fired = async () => events.take().map(({ type, data, attributes }) => ({ type, data, attributes }));
      return { scheduler, fired, stop: nothing };
    },
  },
  {
    name: "Cloud Scheduler",
    async start() {
      const directory = await mkdtemp(join(tmpdir(), "valkeep-contract-"));
      const projectId = freshProject();
      const published: Message[] = [];
      let wake = () => {};
      const server = await startScheduler({
        directory,
        port: 0,
        projectId,
        async publish({ topicName, data, attributes }) {
          const type = topics.find((type) => topicName === `projects/${projectId}/topics/${topicOf(type)}`);
          if (type === undefined) throw new Error(`an unknown topic: ${topicName}`);
          published.push({ type, data: JSON.parse(Buffer.from(data, "base64").toString()), attributes });
          wake();
        },
      });
      const scheduler = createScheduler({ projectId, location: "europe-west1", endpoint: server.host });
      return {
        scheduler,
        async fired(count) {
          while (published.length < count) await new Promise<void>((resolve) => (wake = resolve));
          return published.splice(0);
        },
        async stop() {
          await scheduler.close();
          await server.stop();
          await rm(directory, { recursive: true, force: true });
        },
      };
    },
  },
];

/** A project of its own keeps a test apart from whoever else uses the emulator. */
const freshProject = (): string => `contract-${randomUUID().slice(0, 8)}`;

/** The client libraries find an emulator only through the environment. Answers how to put it back. */
export function setVariable(name: string, value: string): () => void {
  const before = process.env[name];
  process.env[name] = value;
  return () => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  };
}
