import type { EventMap } from "./event.ts";

/** So many shards at once: as many forks, and as many streams through the functions. */
export const defaultParallelShards = 8;

/** Deals shards into lanes, at most `most`: the shards of one are taken one after the other. */
export function lanesOf(shardCount: number, most: number): number[][] {
  const lanes = Array.from({ length: Math.min(most, shardCount) }, (): number[] => []);
  for (let shard = 0; shard < shardCount; shard++) lanes[shard % lanes.length]?.push(shard);
  return lanes;
}

/** By which the Task of a lane is known among those of its Operation: what is left of one is another Task. */
export const laneKey = ({ shards, round }: Pick<EventMap["shard.v1.requested"], "shards" | "round">): string =>
  round === undefined ? `${shards[0]}` : `${shards[0]}.${round}`;
