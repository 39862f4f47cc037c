import { slotCount, slotRanges } from "../../backup/slots.ts";
import type { Address } from "../address.ts";
import { type Ask, withClient } from "../connect.ts";
import { ifAllowed } from "../describe.ts";
import { type ClusterNode, type ClusterShard, covering, readShards, readSlots } from "./map.ts";

/** Which primary serves which slot. */
export interface SlotMap {
  /** By their first slots. */
  primaries: Address[];
  /** Of each primary its id in the cluster. */
  ids: string[];
  /** The same with those of its replicas. */
  shardIds: string[][];
  /** By slot: the primary's place in the list. */
  owners: Uint16Array;
}

/** As the node at the address sees it, a replica or a primary. UNAVAILABLE: there are slots that nobody serves. */
export async function slotMapOf(address: Address, signal: AbortSignal): Promise<SlotMap> {
  const shards = covering(await withClient(address, signal, (ask) => askShards(ask, address)), address);
  const owners = new Uint16Array(slotCount);
  for (const [owner, { slots }] of shards.entries())
    for (const [first, last] of slotRanges(slots)) owners.fill(owner, first, last + 1);
  const primaries = shards.map(primaryOf);
  return {
    primaries: primaries.map((primary) => primary?.address ?? address),
    ids: primaries.map((primary) => primary?.id ?? ""),
    shardIds: shards.map(({ nodes }) => nodes.map(({ id }) => id)),
    owners,
  };
}

/** Those that a primary serves. A user for backups may be allowed CLUSTER SHARDS alone. */
async function askShards(ask: Ask, address: Address): Promise<ClusterShard[]> {
  const slots = await ifAllowed(ask("CLUSTER", "SLOTS"));
  if (slots !== undefined) return readSlots(slots, address);
  const shards = readShards(await ask("CLUSTER", "SHARDS"), address);
  return shards.filter((shard) => primaryOf(shard) !== undefined);
}

const primaryOf = ({ nodes }: ClusterShard): ClusterNode | undefined => nodes.find(({ role }) => role === "PRIMARY");
