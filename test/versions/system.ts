import { setTimeout as sleep } from "node:timers/promises";
import { type StepFunction, steps } from "../../functions/steps.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { routes } from "../../shared/backup/route.ts";
import { createMemoryEvents, type PublishedMessage } from "../../shared/memory/events.ts";
import { createSequentialIds } from "../../shared/memory/ids.ts";
import { createMemoryObjects } from "../../shared/memory/objects.ts";
import { createMemoryScheduler } from "../../shared/memory/scheduler.ts";
import { createMemoryStore } from "../../shared/memory/store.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { createValkey } from "../../shared/valkey/index.ts";

const vault = "vault";

/** A delivery that failed so often will not do. */
const patience = 5;

/** Every step of the pipeline, with documents, messages and objects in memory, on the real clock and real servers. */
export interface System {
  register(instance: Instance): Promise<void>;
  /** Publishes a request and delivers until nothing is left; answers its Operation. */
  ask<T extends EventType>(type: T, data: EventMap[T]): Promise<Operation>;
  /** An object of the vault. */
  read(object: string): Promise<Buffer>;
}

export function createSystem(): System {
  const events = createMemoryEvents();
  const clock = {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    sleep: (ms: number, signal?: AbortSignal) => sleep(ms, undefined, { ...(signal && { signal }) }),
  };
  const place = { location: "EUROPE-WEST1", locationType: "region" } as const;
  const ports: Ports = {
    store: createMemoryStore(),
    objects: createMemoryObjects({ [vault]: place, inbox: place }, { chunkBytes: 262_144 }),
    events,
    valkey: createValkey({ resolveSecret: async () => "" }),
    scheduler: createMemoryScheduler({ events, clock }),
    clock,
    ids: createSequentialIds(),
    log: () => undefined,
    settings: { vaultBucket: vault, inboxBucket: "inbox" },
  };

  async function deliver(message: PublishedMessage): Promise<void> {
    const name = functionOf(message.type);
    if (name === undefined) return;
    const data = Buffer.from(JSON.stringify(message.data));
    for (let attempt = 1; attempt <= patience; attempt++) {
      const incoming = { ...message, data, publishTime: new Date(clock.now()).toISOString() };
      const answer = await handle(steps[name], incoming, ports, timing).catch(() => "later");
      if (answer === "done") return;
      await clock.sleep(200);
    }
    throw new Error(`${message.type} comes again and again: ${JSON.stringify(message.data)}`);
  }

  const operations = async () =>
    (await ports.store.query<Operation>({ collection: "operations" })).map(({ data }) => data);

  return {
    async register(instance) {
      await ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
    },
    async ask(type, data) {
      const before = new Set((await operations()).map(({ name }) => name));
      await events.publish({ type, data, attributes: {} });
      for (let fresh = events.take(); fresh.length > 0; fresh = events.take())
        for (const message of fresh) await deliver(message);
      const begun = (await operations()).find(({ name }) => !before.has(name));
      if (begun === undefined) throw new Error(`no Operation was begun by ${type}`);
      return begun;
    },
    async read(object) {
      const found = await ports.objects.stat(vault, object);
      if (found === undefined) throw new Error(`the vault holds no ${object}`);
      return await collect(ports.objects.read(found));
    },
  };
}

function functionOf(type: EventType): StepFunction | undefined {
  const names = Object.keys(steps) as StepFunction[];
  return names.find((name) => (routes[name] as readonly string[]).includes(type));
}
