import type { EventType } from "../backup/event.ts";
import type { Objects } from "./port/objects.ts";
import type { Valkey } from "./port/valkey.ts";

export type * from "./port/keys.ts";
export type * from "./port/load.ts";
export type * from "./port/objects.ts";
export type * from "./port/replay.ts";
export type * from "./port/snapshot.ts";
export type * from "./port/valkey.ts";

/**
 * Everything that one delivery can reach outside itself, as one object: whoever wraps it can see, delay and cut every
 * effect. Adapters throw StatusError: a lost precondition is ABORTED, a missing topic, bucket or subscription
 * UNAVAILABLE, what they do not understand UNKNOWN.
 */
export interface Ports {
  store: Store;
  objects: Objects;
  events: Events;
  valkey: Valkey;
  scheduler: Scheduler;
  clock: Clock;
  ids: Ids;
  log: Log;
  settings: Settings;
}

/** What an operator decides once for a deployment. */
export interface Settings {
  /** The bucket that holds the backups. */
  vaultBucket: string;
  /** The bucket whose files are restored. */
  inboxBucket: string;
  /** How far apart the places are where a file can be cut into parts; 64 MiB where absent. */
  borderBytes?: number;
  /** How long one delivery scans before it leaves the rest to the next, in seconds; 400 where absent. */
  scanSeconds?: number;
}

export interface Clock {
  /** Milliseconds since 1970; may jump. */
  now(): number;
  /** Milliseconds that only ever rise; what a lease is held by. */
  monotonic(): number;
  /** Rejects with the signal's reason when it is aborted first. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export interface Ids {
  uuid(): string;
}

/** One structured line. No key names, values or secrets. */
export type Log = (severity: "INFO" | "WARNING" | "ERROR", message: string, fields?: Record<string, unknown>) => void;

/** A document with the time of its last change, which guards the next one. */
export interface Doc<T = unknown> {
  path: string;
  data: T;
  updateTime: string;
}

/**
 * One write of a batch. `create` wants no document there; `put` replaces the one that was last changed at
 * `updateTime`; `remove` takes away the one last changed at `updateTime`, or whatever is there without it.
 */
export type Write =
  | { kind: "create"; path: string; data: object }
  | { kind: "put"; path: string; data: object; updateTime: string }
  | { kind: "remove"; path: string; updateTime?: string };

export interface Query {
  /** The path of a collection, or, with `group`, the last segment of all collections of that name. */
  collection: string;
  group?: boolean;
  where?: [field: string, operator: "==" | "<=" | ">=" | "<" | ">", value: string | number | boolean][];
  /** By this field, then by path. Without it, by path. */
  orderBy?: { field: string; direction: "asc" | "desc" };
  limit?: number;
  /** Goes on after this document of an earlier page of the same query. */
  after?: Doc;
}

/** Documents: Firestore. Values are JSON; undefined fields are left out. */
export interface Store {
  get<T>(path: string): Promise<Doc<T> | undefined>;
  /** In the order of the paths. */
  getAll(paths: string[]): Promise<(Doc | undefined)[]>;
  /** All or nothing. ABORTED: a precondition did not hold and nothing was written. Any other error: nobody knows. */
  commit(writes: Write[]): Promise<void>;
  query<T>(query: Query): Promise<Doc<T>[]>;
}

export interface Message {
  type: EventType;
  /** JSON. */
  data: unknown;
  attributes: Record<string, string>;
}

/** Messages: Pub/Sub. Resolves once the message is kept. */
export interface Events {
  publish(message: Message): Promise<void>;
}

/** A Cloud Scheduler job that publishes to the topic of an event. */
export interface Job {
  /** The last segment of its name. */
  id: string;
  cron: string;
  timeZone: string;
  type: EventType;
  /** JSON; of a job that somebody changed maybe any text. */
  data: unknown;
  state: "ENABLED" | "PAUSED";
  /** When it will fire next; only read. */
  scheduleTime?: string;
  lastAttemptTime?: string;
}

export interface Scheduler {
  get(id: string): Promise<Job | undefined>;
  /** Creates the job, or makes the existing one equal to this. */
  put(job: Job): Promise<void>;
  /** One that is gone already is fine. */
  remove(id: string): Promise<void>;
  list(): Promise<Job[]>;
  /** Fires it now. NOT_FOUND: there is none. */
  run(id: string): Promise<void>;
}
