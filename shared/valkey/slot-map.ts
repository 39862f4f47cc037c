import { slotRanges } from "../backup/slots.ts";
import { StatusError } from "../error.ts";
import { type Address, otherNode } from "./address.ts";
import { type ClusterShard, list, readShards } from "./cluster-map.ts";
import { type Ask, withClient } from "./connect.ts";
import { ifAllowed } from "./describe.ts";
import { SLOTS } from "./slot.ts";

/** Which primary serves which slot. */
export interface SlotMap {
  /** By their first slots. */
  primaries: Address[];
  /** By slot: the primary's place in the list. */
  owners: Uint16Array;
}

/** As the node at the address sees it, a replica or a primary. UNAVAILABLE: there are slots that nobody serves. */
export async function slotMapOf(address: Address, signal: AbortSignal): Promise<SlotMap> {
  const ranges = await withClient(address, signal, (ask) => askRanges(ask, address));
  ranges.sort((one, other) => one.first - other.first);
  const primaries: Address[] = [];
  const owners = new Uint16Array(SLOTS);
  let served = 0;
  for (const { first, last, primary } of ranges) {
    let owner = primaries.findIndex(({ endpoint }) => endpoint === primary.endpoint);
    if (owner === -1) owner = primaries.push(primary) - 1;
    owners.fill(owner, first, last + 1);
    served += last - first + 1;
  }
  if (served !== SLOTS) {
    const message = `the cluster at ${address.endpoint} serves ${served} of ${SLOTS} slots: mend it, then try again`;
    throw new StatusError("UNAVAILABLE", message);
  }
  return { primaries, owners };
}

interface Range {
  first: number;
  last: number;
  primary: Address;
}

/** A user for backups may be allowed CLUSTER SHARDS alone. */
async function askRanges(ask: Ask, address: Address): Promise<Range[]> {
  const slots = await ifAllowed(ask("CLUSTER", "SLOTS"));
  if (slots !== undefined) return list(slots).map((range) => readRange(range, address));
  return readShards(await ask("CLUSTER", "SHARDS"), address).flatMap(rangesOf);
}

function rangesOf({ slots, nodes }: ClusterShard): Range[] {
  const primary = nodes.find(({ role }) => role === "PRIMARY")?.address;
  return primary === undefined ? [] : slotRanges(slots).map(([first, last]) => ({ first, last, primary }));
}

/** `first, last, [host, port, id, …], replicas …`; the port is the one of the kind of connection that asks. */
function readRange(range: unknown, asked: Address): Range {
  const [first, last, node] = Array.isArray(range) ? range : [];
  const [host, port] = Array.isArray(node) ? node : [];
  return { first: Number(first), last: Number(last), primary: nodeAt(asked, String(host ?? ""), Number(port)) };
}

/** A node as the one that was asked names it: no host, or `?`, means the one that was asked. */
export const nodeAt = (asked: Address, host: string, port: number): Address =>
  otherNode(asked, host === "" || host === "?" ? asked.host : host, port);
