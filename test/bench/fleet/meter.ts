import type { EventType } from "../../../shared/backup/event.ts";
import { routes } from "../../../shared/backup/route.ts";
import type { Events, Objects, Ports, Store } from "../../../shared/pipeline/ports.ts";

/** What was used, in the units that are billed. */
export interface Usage {
  /** Documents; a query that finds nothing, and a document that is not there, is one. */
  reads: number;
  /** A guarded put is two: see shared/firestore/store.ts. */
  writes: number;
  deletes: number;
  /** Messages published, and of them those that a function hears. */
  messages: number;
  deliveries: number;
  /** Published and pushed, each request at least 1000. */
  messageBytes: number;
  /** Objects stored, listed, copied or changed; objects asked for or read. Deleting is free. */
  classA: number;
  classB: number;
}

export const nothing: Usage = {
  ...{ reads: 0, writes: 0, deletes: 0, messages: 0, deliveries: 0, messageBytes: 0, classA: 0, classB: 0 },
};

/** Each number of two usages put together: a sum, a difference, a multiple. */
export function combine(a: Usage, b: Usage, of: (a: number, b: number) => number): Usage {
  const entries = Object.keys(nothing).map((field) => [field, of(a[field as keyof Usage], b[field as keyof Usage])]);
  return Object.fromEntries(entries) as unknown as Usage;
}

/** The same ports; every call that is billed is added to `usage`. */
export function metered(ports: Ports, usage: Usage): Ports {
  return {
    ...ports,
    store: meteredStore(ports.store, usage),
    events: meteredEvents(ports.events, usage),
    objects: meteredObjects(ports.objects, usage),
  };
}

function meteredStore(store: Store, usage: Usage): Store {
  return {
    async get(path) {
      usage.reads++;
      return await store.get(path);
    },
    async getAll(paths) {
      usage.reads += paths.length;
      return await store.getAll(paths);
    },
    async query(query) {
      const found = await store.query<never>(query);
      usage.reads += Math.max(1, found.length);
      return found;
    },
    async commit(writes) {
      for (const { kind } of writes)
        if (kind === "remove") usage.deletes++;
        else usage.writes += kind === "put" ? 2 : 1;
      await store.commit(writes);
    },
  };
}

const heard = new Set<string>(Object.values(routes).flat());
export const isHeard = (type: EventType): boolean => heard.has(type);

function meteredEvents(events: Events, usage: Usage): Events {
  return {
    async publish(message) {
      const bytes = Buffer.byteLength(
        JSON.stringify(message.data) + Object.entries(message.attributes).flat().join(""),
      );
      const times = isHeard(message.type) ? 2 : 1;
      usage.messages++;
      usage.deliveries += times - 1;
      usage.messageBytes += times * Math.max(1000, bytes);
      await events.publish(message);
    },
  };
}

/** https://cloud.google.com/storage/pricing#operations-by-class */
function meteredObjects(objects: Objects, usage: Usage): Objects {
  const count =
    <A extends unknown[], R>(kind: "classA" | "classB", call: (...args: A) => R) =>
    (...args: A): R => {
      usage[kind]++;
      return call(...args);
    };
  return {
    describe: count("classB", objects.describe),
    stat: count("classB", objects.stat),
    read: count("classB", objects.read),
    create: count("classA", objects.create),
    copy: count("classA", objects.copy),
    compose: count("classA", objects.compose),
    setHold: count("classA", objects.setHold),
    list: count("classA", objects.list),
    remove: objects.remove,
  };
}
