import type { Instance } from "../backup/backup.ts";
import type { ShardTask, Valkey } from "../pipeline/ports.ts";
import { addressOf, type ResolveSecret } from "./address.ts";
import { countShards, entriesOf, livingEntry, plan, primariesOf } from "./cluster/topology.ts";
import { inspect } from "./inspect.ts";
import { dump } from "./keys/dump.ts";
import { exchange } from "./keys/exchange.ts";
import { load } from "./load/load.ts";
import { describeInstance, type LoadTarget, targetAt } from "./load/target.ts";
import { beginReplay, endReplay, replayMark } from "./replay/mark.ts";
import { replay } from "./replay/replay.ts";
import { sideBySide } from "./side-by-side.ts";
import type { ReplicationOptions } from "./snapshot/replication.ts";
import { shardScan } from "./snapshot/shard-scan.ts";
import { clusterSources, type Sources, serverSources, shardSnapshot } from "./snapshot/shard-snapshot.ts";
import { saveAndRead, type VolumeOptions } from "./volume/save-and-read.ts";

export type { ResolveSecret } from "./address.ts";

/** `silenceMs` holds for a load too: the server may leave commands unanswered for so long. */
export interface ValkeyOptions extends ReplicationOptions, VolumeOptions {
  /** Turns an instance's `authSecret` into the password. Asked again for each call; its errors are passed on. */
  resolveSecret: ResolveSecret;
}

/** The databases under protection, over their own protocols. Every call connects, works and disconnects. */
export function createValkey({ resolveSecret, ...patience }: ValkeyOptions): Valkey {
  const sourcesOf = async (instance: Instance, task: ShardTask, signal: AbortSignal): Promise<Sources> => {
    const entries = await entriesOf(instance, resolveSecret);
    return instance.mode === "CLUSTER"
      ? await clusterSources(instance, entries, task, signal)
      : await serverSources(instance, entries[0].address, task, signal);
  };
  const targetOf = async (instance: Instance, signal: AbortSignal): Promise<LoadTarget> => {
    const entry = await livingEntry(await entriesOf(instance, resolveSecret), signal);
    return await targetAt(entry, instance.mode === "CLUSTER", signal);
  };

  return {
    async describe(instance, signal) {
      const entry = await livingEntry(await entriesOf(instance, resolveSecret), signal);
      return await describeInstance(entry, instance.mode === "CLUSTER", signal);
    },
    async inspect(instance, signal) {
      const entries = await entriesOf(instance, resolveSecret);
      const nodes = instance.mode === "CLUSTER" ? await primariesOf(entries, signal) : [entries[0].address];
      return await sideBySide(nodes, (node) => inspect(node, signal));
    },
    shardCount: async (instance, signal) => countShards(instance, await entriesOf(instance, resolveSecret), signal),
    plan: async (instance, signal) => plan(instance, await entriesOf(instance, resolveSecret), signal),
    async *snapshot(instance, task, signal, onSource) {
      if (instance.snapshotMethod === "VOLUME") {
        const address = await addressOf(instance, resolveSecret);
        return yield* saveAndRead(instance, task, address, signal, patience, onSource);
      }
      yield* shardSnapshot(await sourcesOf(instance, task, signal), signal, patience, onSource);
    },
    async *scan(instance, task, options, signal, onSource) {
      const { maxKeysPerSecond } = instance;
      const sources = await sourcesOf(instance, task, signal);
      yield* shardScan(sources, options, signal, { ...patience, maxKeysPerSecond }, onSource);
    },
    async load(instance, source, options, signal) {
      return load(await targetOf(instance, signal), source, options, signal, patience);
    },
    async *dump(instance, database, keys, signal) {
      yield* dump(await targetOf(instance, signal), database, keys, signal);
    },
    async exchange(instance, exchanges, options, signal) {
      return exchange(await targetOf(instance, signal), exchanges, options, signal);
    },
    beginReplay: async (instance, replayer, signal) =>
      beginReplay(await addressOf(instance, resolveSecret), replayer, signal),
    replayMark: async (instance, operation, signal) =>
      replayMark(await addressOf(instance, resolveSecret), operation, signal),
    replay: async (instance, logs, options, signal) =>
      replay(await addressOf(instance, resolveSecret), logs, options, signal, patience),
    endReplay: async (instance, replayer, signal) =>
      endReplay(await addressOf(instance, resolveSecret), replayer, signal),
  };
}
