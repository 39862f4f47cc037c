import type { EventMap } from "./event.ts";

/**
 * So many shards at once where the instance does not say: each is a fork somewhere, and about 50 MB/s through a function of its own, so
 * that eight fill a link of 4 Gbit/s.
 */
export const defaultParallelShards = 8;

/** Where a shard's snapshot will be taken. */
export interface Site {
  /** The machine, as far as its address tells. Absent: one of its own. */
  host?: string | undefined;
  zone?: string | undefined;
}

/**
 * Deals shards into lanes, at most `most`: those of one are taken one after the other, so shards of one host share a lane, and two forks
 * never meet there. Lanes are about equally long, and at each place of them zones alternate as far as that goes.
 */
export function lanesOf(sites: readonly Site[], most: number): number[][] {
  const groups = new Map<string, number[]>();
  for (const [shard, { host }] of sites.entries()) {
    const key = host ?? `shard ${shard}`;
    groups.set(key, [...(groups.get(key) ?? []), shard]);
  }
  const lanes = Array.from({ length: Math.min(most, groups.size) }, (): number[] => []);
  for (const group of [...groups.values()].sort((a, b) => b.length - a.length)) shortest(lanes).push(...group);
  return spread(lanes, sites);
}

const shortest = (lanes: number[][]): number[] =>
  lanes.reduce((found, lane) => (lane.length < found.length ? lane : found), lanes[0] ?? []);

/** The same lanes, their shards in such an order that those at the same place stand in different zones. */
function spread(lanes: readonly number[][], sites: readonly Site[]): number[][] {
  const left = lanes.map((lane) => [...lane].sort((a, b) => a - b));
  const ordered = lanes.map((): number[] => []);
  const zoneOf = (shard: number): string => sites[shard]?.zone ?? "";
  while (left.some((lane) => lane.length > 0)) {
    const busy = new Map<string, number>();
    for (const [at, lane] of left.entries()) {
      const [first] = [...lane.keys()].sort(
        (a, b) => (busy.get(zoneOf(lane[a] ?? 0)) ?? 0) - (busy.get(zoneOf(lane[b] ?? 0)) ?? 0) || a - b,
      );
      const [shard] = first === undefined ? [] : lane.splice(first, 1);
      if (shard === undefined) continue;
      ordered[at]?.push(shard);
      busy.set(zoneOf(shard), (busy.get(zoneOf(shard)) ?? 0) + 1);
    }
  }
  return ordered;
}

/** By which the Task of a lane is known among those of its Operation: what is left of one is another Task. */
export const laneKey = ({ shards, round }: Pick<EventMap["shard.v1.requested"], "shards" | "round">): string =>
  round === undefined ? `${shards[0]}` : `${shards[0]}.${round}`;
