import { StatusError } from "../../error.ts";
import type { ClusterShard } from "./map.ts";
import type { NodeState } from "./node-state.ts";
import type { OwnView } from "./own-view.ts";

/** A shard whose primary has been asked. */
export interface SettledShard {
  /** As errors name it. */
  name: string;
  slots: string;
  primary: NodeState & { own: OwnView };
  /** The primary, and the replicas that answer. */
  nodes: NodeState[];
}

/**
 * The shard as its own primary knows it. UNAVAILABLE: no primary answers, or two that are of one epoch, it sees the cluster down, or not
 * all have heard yet of what it serves. FAILED_PRECONDITION: slots are moving.
 */
export function settled(name: string, shard: ClusterShard, nodes: NodeState[]): SettledShard {
  // One that was away while another took over may not have heard of it yet; another id is that of a stranger at an old address.
  const [primary, second] = nodes
    .filter((node): node is SettledShard["primary"] => node.own?.isPrimary === true && node.own.id === node.node)
    .sort((one, other) => other.own.epoch - one.own.epoch);
  if (primary === undefined || primary.isLoading)
    throw new StatusError("UNAVAILABLE", `${name} has no primary that answers${whoWasAsked(shard, nodes)}`);
  if (primary.own.epoch === second?.own.epoch) {
    const both = `${primary.address.endpoint} and ${second.address.endpoint}`;
    throw new StatusError("UNAVAILABLE", `${both} both hold themselves for the primary of ${name}: a failover may end`);
  }
  const { own, address } = primary;
  if (!own.isUp) throw new StatusError("UNAVAILABLE", `${address.endpoint}: the cluster is down: see CLUSTER INFO`);
  if (own.isMoving)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `slots are moving at ${address.endpoint}: try again once they have arrived`,
    );
  if (own.slots !== shard.slots) {
    const message = `the nodes do not agree yet on the slots of ${name}: ${address.endpoint} serves ${own.slots}`;
    throw new StatusError("UNAVAILABLE", message);
  }
  return {
    name,
    slots: own.slots,
    primary,
    nodes: nodes.filter((node) => node === primary || node.role === "REPLICA"),
  };
}

/** A failover passes; addresses that only the nodes themselves reach stay as they are announced. */
function whoWasAsked(shard: ClusterShard, nodes: readonly NodeState[]): string {
  const silent = shard.nodes.filter(({ id }) => nodes.every(({ node }) => node !== id));
  if (silent.length === 0) return ": a failover may be under way";
  const endpoints = silent.map(({ address }) => address.endpoint).join(", ");
  return `: ${endpoints} cannot be reached from here; a failover may be under way, or cluster-announce-ip be wrong`;
}

/** The set of files would hold slots twice, or not at all. */
export const moved = (name: string, planned: string, found: string): StatusError =>
  new StatusError(
    "FAILED_PRECONDITION",
    `${name} was planned with the slots ${planned}, and has ${found === "" ? "none" : found}: slots have moved; take the backup again once they rest`,
  );
