import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import type { Config } from "./config.ts";
import { createFirestore, createStore } from "./firestore/store.ts";
import { createObjects } from "./gcs/objects.ts";
import { log } from "./log.ts";
import type { Ports } from "./pipeline/ports.ts";
import { createEvents } from "./pubsub/events.ts";
import { createScheduler } from "./scheduler/scheduler.ts";
import { createSecrets } from "./secret.ts";
import { createValkey } from "./valkey/index.ts";

/** Every port on the real thing: Google's services, Valkey, this machine's clock. */
export function createPorts(config: Config): Ports {
  const { projectId, location, storageEndpoint, schedulerEndpoint, isLocal, secretsDirectory } = config;
  return {
    store: createStore(createFirestore({ projectId })),
    objects: createObjects({ projectId, ...(storageEndpoint && { apiEndpoint: storageEndpoint }) }),
    events: createEvents({ projectId }),
    valkey: createValkey({
      resolveSecret: createSecrets({ isLocal, directory: secretsDirectory, environment: process.env }),
    }),
    scheduler: createScheduler({ projectId, location, ...(schedulerEndpoint && { endpoint: schedulerEndpoint }) }),
    clock: {
      now: () => Date.now(),
      monotonic: () => performance.now(),
      sleep: (milliseconds, signal) => setTimeout(milliseconds, undefined, { ...(signal && { signal }) }),
    },
    ids: { uuid: () => randomUUID() },
    log,
    settings: {
      vaultBucket: config.vaultBucket,
      inboxBucket: config.inboxBucket,
      ...(config.borderBytes !== undefined && { borderBytes: config.borderBytes }),
    },
  };
}
