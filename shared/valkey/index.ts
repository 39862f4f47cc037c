import { StatusError } from "../error.ts";
import type { Valkey } from "../pipeline/ports.ts";
import { addressOf, type ResolveSecret } from "./address.ts";
import { inspect } from "./inspect.ts";
import { load } from "./load.ts";
import { describeInstance, targetAt } from "./load-target.ts";
import { replay } from "./replay.ts";
import { beginReplay, endReplay, replayMark } from "./replay-mark.ts";
import { type ReplicationOptions, replicate } from "./replication.ts";
import { countShards, nodeOf, primariesOf } from "./topology.ts";

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
      const address = await addressOf(instance, resolveSecret);
      return await describeInstance(address, instance.mode === "CLUSTER", signal);
    },
    async inspect(instance, signal) {
      const address = await addressOf(instance, resolveSecret);
      const nodes = instance.mode === "CLUSTER" ? await primariesOf(address, signal) : [address];
      return await Promise.all(nodes.map((node) => inspect(node, signal)));
    },
    shardCount: async (instance, signal) => countShards(instance, await addressOf(instance, resolveSecret), signal),
    async *snapshot(instance, { shard }, signal, onSource) {
      const address = await addressOf(instance, resolveSecret);
      if (instance.mode === "CLUSTER_DISABLED" && shard !== 0) {
        throw new StatusError(
          "FAILED_PRECONDITION",
          `${instance.name} is no cluster: it has shard 0 and no shard ${shard}`,
        );
      }
      const node = instance.mode === "CLUSTER" ? await nodeOf(address, shard, signal) : { address };
      yield* replicate(node.address, signal, patience, (history) =>
        onSource?.({ ...history, ...("role" in node && { sourceRole: node.role }) }),
      );
    },
    async load(instance, source, options, signal) {
      const address = await addressOf(instance, resolveSecret);
      const target = await targetAt(address, instance.mode === "CLUSTER", signal);
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
