import type { Valkey } from "../pipeline/ports.ts";
import { addressOf, type ResolveSecret } from "./address.ts";
import { inspect } from "./inspect.ts";
import { load } from "./load.ts";
import { describeInstance, targetAt } from "./load-target.ts";
import { replay } from "./replay.ts";
import { beginReplay, endReplay, replayMark } from "./replay-mark.ts";
import type { ReplicationOptions } from "./replication.ts";
import { clusterSources, serverSources, shardSnapshot } from "./shard-snapshot.ts";
import { countShards, entriesOf, livingEntry, plan, primariesOf } from "./topology.ts";

export type { ResolveSecret } from "./address.ts";

/** `silenceMs` holds for a load too: the server may leave commands unanswered for so long. */
export interface ValkeyOptions extends ReplicationOptions {
  /** Turns an instance's `authSecret` into the password. Asked again for each call; its errors are passed on. */
  resolveSecret: ResolveSecret;
}

/** The databases under protection, over their own protocols. Every call connects, works and disconnects. */
export function createValkey({ resolveSecret, ...patience }: ValkeyOptions): Valkey {
  return {
    async describe(instance, signal) {
      const entry = await livingEntry(await entriesOf(instance, resolveSecret), signal);
      return await describeInstance(entry, instance.mode === "CLUSTER", signal);
    },
    async inspect(instance, signal) {
      const entries = await entriesOf(instance, resolveSecret);
      const nodes = instance.mode === "CLUSTER" ? await primariesOf(entries, signal) : [entries[0]];
      return await Promise.all(nodes.map((node) => inspect(node, signal)));
    },
    shardCount: async (instance, signal) => countShards(instance, await entriesOf(instance, resolveSecret), signal),
    plan: async (instance, signal) => plan(instance, await entriesOf(instance, resolveSecret), signal),
    async *snapshot(instance, task, signal, onSource) {
      const entries = await entriesOf(instance, resolveSecret);
      const sources =
        instance.mode === "CLUSTER"
          ? await clusterSources(instance, entries, task, signal)
          : await serverSources(instance, entries[0], task, signal);
      yield* shardSnapshot(sources, signal, patience, onSource);
    },
    async load(instance, source, options, signal) {
      const entry = await livingEntry(await entriesOf(instance, resolveSecret), signal);
      const target = await targetAt(entry, instance.mode === "CLUSTER", signal);
      return load(target, source, options, signal, patience);
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
