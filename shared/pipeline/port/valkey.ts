import type { Instance } from "../../backup/backup.ts";
import type { Inspection } from "../../backup/health.ts";
import type { ServerIdentity } from "../../backup/server-identity.ts";
import type { Target } from "../../backup/target.ts";
import type { DumpPiece, Exchange, Exchanged, ExchangeOptions } from "./keys.ts";
import type { LoadOptions, LoadResult, LoadSource } from "./load.ts";
import type { Replayer, ReplayLog, ReplayMark, ReplayOptions } from "./replay.ts";
import type { Layout, ScanOptions, ShardSource, ShardTask } from "./snapshot.ts";

/** What answers at an instance's endpoint. */
export interface Server extends Target, ServerIdentity {
  /** Changes with each start of the server. */
  runId: string;
  databases: Record<string, { keys: number; expires: number }>;
  /** Keys that have expired since the server started. */
  expiredKeys: number;
  /** Of a cluster, whose sums stand above: each primary that serves slots, by its first slot. */
  shards?: { endpoint: string; node: string; runId: string; databases: Server["databases"]; expiredKeys: number }[];
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
  /** Of these keys of one database those that are there, in any order, the pieces of each together. Its memory grows with no value. */
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
