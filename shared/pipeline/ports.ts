import type { BackupFile, Instance, RdbFacts, Seed, ShardPlan } from "../backup/backup.ts";
import type { EventType } from "../backup/event.ts";
import type { Inspection } from "../backup/health.ts";
import type { Site } from "../backup/lane.ts";
import type { KeyState } from "../backup/selection.ts";
import type { Target } from "../backup/target.ts";

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

export interface ObjectInfo {
  bucket: string;
  object: string;
  generation: string;
  sizeBytes: number;
  /** Base64, big-endian. */
  crc32c: string;
  createTime: string;
  /** Ours: `operation`, `shard`. */
  metadata: Record<string, string>;
  /**
   * Until when a retention policy keeps it, RFC 3339 with milliseconds; it may have passed. Absent: there is none, or an
   * event-based hold has stopped its clock.
   */
  retentionExpirationTime?: string;
  /** A temporary or an event-based hold keeps it, nobody knows until when. Absent: none does. */
  isHeld?: true;
}

export interface BucketInfo {
  location: string;
  locationType: "region" | "dual-region" | "multi-region";
  protection: BucketProtection;
}

/** What keeps a bucket's objects from strangers and from mistakes. */
export interface BucketProtection {
  /** `enforced`: nobody can make anything in it public. */
  publicAccessPrevention: "enforced" | "inherited";
  /** Access is told by IAM alone, not by lists on single objects. */
  uniformBucketLevelAccess: boolean;
  versioning: boolean;
  /** How long what was deleted can be brought back; 0: not at all. */
  softDeleteSeconds: number;
  /** How long an object cannot be deleted; 0: it can be at once. */
  retentionSeconds: number;
}

/** A copy between regions takes many calls, and may take longer than one attempt has. */
export interface CopyCourse {
  /** What an earlier attempt at the same copy heard last: it goes on there. One that is too old begins anew. */
  resume?: string;
  onProgress(doneBytes: number, resume: string): void;
}

/** Objects: Cloud Storage. */
export interface Objects {
  /** NOT_FOUND where there is no such bucket. */
  describe(bucket: string): Promise<BucketInfo>;
  stat(bucket: string, object: string): Promise<ObjectInfo | undefined>;
  /**
   * Stores the source whole or not at all, where no object is yet (`ifGenerationMatch=0`): a source that throws leaves
   * nothing. The object is finished only after the source has ended. ABORTED: there is one already. Holds at most a
   * few chunks; a stalled upload gives up after 30 s with UNAVAILABLE.
   */
  create(
    bucket: string,
    object: string,
    source: AsyncIterable<Uint8Array>,
    metadata: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<ObjectInfo>;
  /**
   * The bytes `[start, end)` of one generation, all of it by default; goes on by itself after a broken connection.
   * DATA_LOSS: the object is gone, or a whole read does not agree with its CRC32C.
   */
  read(
    of: Pick<ObjectInfo, "bucket" | "object" | "generation">,
    range?: { start?: number; end?: number },
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array>;
  /** Copies one generation where no object is yet. ABORTED: there is one already. */
  copy(
    from: Pick<ObjectInfo, "bucket" | "object" | "generation">,
    to: { bucket: string; object: string },
    metadata: Record<string, string>,
    signal?: AbortSignal,
    course?: CopyCourse,
  ): Promise<ObjectInfo>;
  /**
   * Makes one object of 1 to 32 generations of the same bucket, end to end, where no object is yet; the sources stay. ABORTED:
   * there is one already. DATA_LOSS: a source is gone.
   */
  compose(
    sources: readonly Pick<ObjectInfo, "object" | "generation">[],
    to: { bucket: string; object: string },
    metadata: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<ObjectInfo>;
  /** Removes exactly this generation; one that is gone already is fine. FAILED_PRECONDITION: a hold or a retention policy keeps it. */
  remove(of: Pick<ObjectInfo, "bucket" | "object" | "generation">): Promise<void>;
  /** Puts a temporary hold on this generation, or takes it away; twice is fine. DATA_LOSS: it is gone. */
  setHold(of: Pick<ObjectInfo, "bucket" | "object" | "generation">, isHeld: boolean): Promise<void>;
  /** Sorted by the bytes of their names; from `startOffset` on, the object of that name included. */
  list(bucket: string, prefix: string, options?: { startOffset?: string }): AsyncIterable<ObjectInfo>;
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

/** What answers at an instance's endpoint. */
export interface Server extends Target {
  /** Changes with each start of the server. */
  runId: string;
  databases: Record<string, { keys: number; expires: number }>;
  /** Keys that have expired since the server started. */
  expiredKeys: number;
  /** Of a cluster, whose sums stand above: each primary that serves slots, by its first slot. */
  shards?: { endpoint: string; runId: string; databases: Server["databases"]; expiredKeys: number }[];
}

/** Part of a file between two record borders. `crc64`: the running CRC64 of all before it, and, at its end, after it; absent: not compared. */
export interface LoadStretch {
  startOffset: number;
  /** Absent: the file's. */
  endOffset?: number;
  /** The one that is selected where it begins. */
  database: number;
  /** 16 hexadecimal digits each. */
  crc64?: { before: string; after: string };
}

/** Everything before `offset`, a record border, was answered by the servers: a later attempt goes on there. */
export interface LoadMark {
  offset: number;
  /** The one that is selected there. */
  database: number;
  /** The running CRC64 of all bytes before it, 16 hexadecimal digits; empty where it was not reckoned. */
  crc64: string;
  /** The target's, as it was then: another one may lack what was answered, so that the load begins anew. */
  runId?: string;
  /** The counts up to there. */
  result: LoadResult;
}

/** One shard to take a snapshot of, as it was planned. */
export interface ShardTask extends Omit<ShardPlan, "nodes"> {
  /** From 0. */
  shard: number;
  /** All nodes of the cluster as it was planned: one that has none of them is another cluster. */
  cluster?: readonly string[];
  /** When the backup was asked for, in seconds before now: a save of the server's own that began since will do (VOLUME). */
  askedSecondsAgo?: number;
  /** Nodes that failed while they were read: taken where there is no other. */
  avoid?: readonly string[];
}

/** Whom a snapshot is taken of, and what of its history the file holds. */
export interface ShardSource extends Pick<BackupFile, "sourceRole" | "replicationId" | "replicationOffset"> {
  /** By which `avoid` names it. */
  node?: string;
}

/** What a backup has to take, and where: by number, from 0. */
export interface Layout {
  shards: (ShardPlan & Site)[];
  /** Nodes that can answer for the cluster as well as its endpoint; none without cluster mode. */
  seeds: Seed[];
}

/**
 * Where a scan stands, between two records of its file: what another call needs to go on there. JSON. Holds no key.
 */
export interface ScanMark {
  /** The process that is scanned, and its address: to any other its cursor means nothing. */
  endpoint: string;
  runId: string;
  rdbVersion: number;
  database: number;
  cursor: string;
  /** Bytes of the file so far, and their running CRC64, 16 hexadecimal digits. */
  offset: number;
  crc64: string;
  /** SCAN may name the keys again that stand in the file from `offset` on; none before, unless its table shrinks below `horizon`. */
  recent: { offset: number; horizon: string };
}

export interface ScanOptions {
  /** Go on there. ABORTED: that server is not there any more, and the file has to be begun anew. */
  from?: ScanMark;
  /** The file so far, by range: with `from`. */
  written?: (range: { start: number; end: number }) => AsyncIterable<Uint8Array>;
  /** Once it answers true the stream ends, soon, between two records. */
  isTimeUp(): boolean;
  /** Told before the stream ends: where to go on, or nothing where the file is whole. */
  onEnd(mark: ScanMark | undefined): void;
}

/** A file to load: its facts, and its bytes by range. */
export interface LoadSource {
  /** Of the whole file. */
  facts: RdbFacts;
  /** Absent: the whole file. */
  stretch?: LoadStretch;
  read(range: { start: number; end?: number }, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface LoadOptions {
  /**
   * The connection is called `valkeep-<operation>-<part>-<epoch>`. Connections of the same part and an earlier epoch are
   * killed first, and those of every other operation: one restore at a time writes into an instance.
   */
  operation: string;
  part: number;
  epoch: number;
  /** Awaited once the connection has its name, before anyone is killed or anything is written: throws if the lease is gone. */
  confirm(): Promise<void>;
  /** Overwrite keys: only for a part that was begun before. Without it a key that exists is FAILED_PRECONDITION. */
  replace: boolean;
  /** The time, milliseconds since 1970: keys whose time has come when their turn does are counted, not created. */
  now(): number;
  /** Load the function libraries too: only one part of a restore does, as every shard's file holds all of them. */
  withFunctions: boolean;
  /** Go on there: the counts of the result go on from the mark's. What lies behind it may have been written already: wants `replace`. */
  from?: LoadMark;
  /** Rises; at most a few times a second. The last one stands at the end of what is loaded. */
  onProgress?: (mark: LoadMark) => void;
}

export interface LoadResult {
  databases: Record<string, { keys: number; expires: number }>;
  expiredKeys: number;
  /** Created keys whose time was so near that the server may have met it first: it then answers as if it had created them. */
  soonExpiredKeys: number;
  functions: number;
}

/** A piece of a key's value as `DUMP` writes it, without type, version and checksum; at least one for each key that is there. */
export interface DumpPiece {
  /** Of the key, among those that were asked for. */
  index: number;
  magic: RdbFacts["magic"];
  type: number;
  /** Unix time in milliseconds, -1 for none. */
  expireTimeMs: number;
  /** Valid until the next piece. */
  bytes: Uint8Array;
}

/** A key as it is to be. */
export interface KeyRecord {
  magic: RdbFacts["magic"];
  type: number;
  state: KeyState;
  idleSeconds?: number | undefined;
  freq?: number | undefined;
  valueBytes: number;
  value(signal: AbortSignal): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** One change of a key that is made only if the key is as it was when somebody decided it. */
export interface Exchange {
  key: Uint8Array;
  /** As it has to be; `undefined`: not there. `ANY`: it is made whatever is there. */
  from: KeyState | undefined | "ANY";
  /** `undefined`: the key goes. */
  to: KeyRecord | undefined;
}

/** What came of a change. */
export interface Exchanged {
  /** ALREADY: it was made before, and nothing was done. CHANGED: the key is neither as before nor as after, and stays so. */
  outcome: "DONE" | "ALREADY" | "CHANGED";
  /**
   * The key as it is from then on, unless it is gone: a server may lay a value down in another way than it was given. Another one
   * than that means that somebody has changed it since.
   */
  state?: KeyState | undefined;
}

/** The connections are named and fenced as those of a load: see `LoadOptions`. */
export interface ExchangeOptions extends Pick<LoadOptions, "operation" | "part" | "epoch" | "confirm" | "now"> {
  database: number;
}

/** A file of an AOF: the commands of this range, all of them whole. */
export interface ReplayLog {
  startOffset: number;
  endOffset: number;
  read(range: { start: number; end: number }, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Everything before `offset` of the log of this number, from 1 on, was carried out; 0: nothing was. `database` is selected there. */
export interface ReplayMark {
  log: number;
  offset: number;
  database: number;
}

/**
 * Who replays, as whoever loads: `epoch` rises through all three calls of a replay, and each of them cuts off whoever was at it
 * with a lower one.
 */
export type Replayer = Pick<LoadOptions, "operation" | "epoch" | "confirm">;

export interface ReplayOptions extends Replayer {
  /** Expiry was suspended when it began, and matters: a target that suspends it no longer may have lost keys, which is DATA_LOSS. */
  isSuspended?: boolean;
  /** Rises; once for each batch that was carried out. */
  onProgress?: (mark: ReplayMark) => void;
}

/**
 * The databases under protection. UNAVAILABLE: nobody answers, or the link broke; UNAUTHENTICATED, PERMISSION_DENIED:
 * the server said so; FAILED_PRECONDITION: it answers, but not as the Instance says.
 */
export interface Valkey {
  describe(instance: Instance, signal: AbortSignal): Promise<Server>;
  /** What health is judged by, of the server or, in a cluster, of each shard's primary; answers although slots are moving. */
  inspect(instance: Instance, signal: AbortSignal): Promise<Inspection[]>;
  /** How many shards the instance has now; shards are numbered from 0. */
  shardCount(instance: Instance, signal: AbortSignal): Promise<number>;
  /**
   * The shards and the best node of each. UNAVAILABLE: slots that nobody serves, no node that is fit. FAILED_PRECONDITION: slots
   * are moving, or the instance's source is REPLICA_ONLY and a shard has no replica.
   */
  plan(instance: Instance, signal: AbortSignal): Promise<Layout>;
  /**
   * One shard's RDB file as a stream, of the healthiest node; `onSource` is told, before the first byte, of whom it is taken. A
   * stream that ends early or stalls throws UNAVAILABLE. With `slots`, FAILED_PRECONDITION unless the shard had exactly these, and
   * none on its way, when its snapshot was taken.
   */
  snapshot(
    instance: Instance,
    task: ShardTask,
    signal: AbortSignal,
    onSource?: (source: ShardSource) => void,
  ): AsyncIterable<Uint8Array>;
  /**
   * The same without the replication protocol, by SCAN and DUMP: every key that exists from beginning to end is in the file
   * once, with a value and an expiry that it had at one moment; `instance.maxKeysPerSecond` throttles it. ABORTED: the file
   * has to be begun anew.
   */
  scan(
    instance: Instance,
    task: ShardTask,
    options: ScanOptions,
    signal: AbortSignal,
    onSource?: (source: ShardSource) => void,
  ): AsyncIterable<Uint8Array>;
  /** Writes every record of the file, or of its stretch, into the instance: in a cluster into the shard that it belongs to. */
  load(instance: Instance, source: LoadSource, options: LoadOptions, signal: AbortSignal): Promise<LoadResult>;
  /** Of these keys of one database those that are there, in any order, the pieces of each together. The memory that it takes grows with no value. */
  dump(
    instance: Instance,
    database: number,
    keys: readonly Uint8Array[],
    signal: AbortSignal,
  ): AsyncIterable<DumpPiece>;
  /** Makes each change whole or not at all, whoever writes meanwhile; one outcome for each, in their order. Twice is fine. */
  exchange(
    instance: Instance,
    exchanges: readonly Exchange[],
    options: ExchangeOptions,
    signal: AbortSignal,
  ): Promise<Exchanged[]>;
  /**
   * Puts down, in the target itself, the mark of a replay's beginning, and has it suspend expiry; answers whether it can. Comes
   * before anything is loaded. May be repeated until `replay` has begun.
   */
  beginReplay(instance: Instance, replayer: Replayer, signal: AbortSignal): Promise<boolean>;
  /** How far the replay has come, by its mark. */
  replayMark(instance: Instance, operation: string, signal: AbortSignal): Promise<ReplayMark | undefined>;
  /**
   * Carries out the commands of all logs in their order, each exactly once, from the mark on, whoever was at it before. DATA_LOSS:
   * the target refused one of them, or has lost its mark.
   */
  replay(instance: Instance, logs: readonly ReplayLog[], options: ReplayOptions, signal: AbortSignal): Promise<void>;
  /** Takes the mark away and lets keys expire again. May be repeated. */
  endReplay(instance: Instance, replayer: Replayer, signal: AbortSignal): Promise<void>;
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
