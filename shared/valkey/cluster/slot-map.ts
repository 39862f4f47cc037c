import { slotCount, slotRanges } from "../../backup/slots.ts";
import { type Address, otherNode } from "../address.ts";
import { withClient } from "../connect.ts";
import { covering, readSlots } from "./map.ts";

/** Which primary serves which slot. */
export interface SlotMap {
  /** By their first slots. */
  primaries: Address[];
  /** By slot: the primary's place in the list. */
  owners: Uint16Array;
}

/** As the node at the address sees it, a replica or a primary. UNAVAILABLE: there are slots that nobody serves. */
export async function slotMapOf(address: Address, signal: AbortSignal): Promise<SlotMap> {
  const answer = await withClient(address, signal, (ask) => ask("CLUSTER", "SLOTS"));
  const shards = covering(readSlots(answer, address), address);
  const owners = new Uint16Array(slotCount);
  for (const [owner, { slots }] of shards.entries())
    for (const [first, last] of slotRanges(slots)) owners.fill(owner, first, last + 1);
  return { primaries: shards.map(({ nodes: [primary] }) => primary?.address ?? address), owners };
}

/** A node as the one that was asked names it: no host, or `?`, means the one that was asked. */
export const nodeAt = (asked: Address, host: string, port: number): Address =>
  otherNode(asked, host === "" || host === "?" ? asked.host : host, port);
