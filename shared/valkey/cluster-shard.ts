import { StatusError } from "../error.ts";
import type { ClusterShard } from "./cluster-map.ts";
import type { NodeState } from "./node-state.ts";
import type { OwnView } from "./own-view.ts";

/** A shard whose primary has been asked. */
export interface SettledShard {
  /** As errors name it. */
  name: string;
  slots: string;
  primary: NodeState & { own: OwnView };
  /** Those that answer, the primary among them. */
  nodes: NodeState[];
}

/**
 * The shard as its own primary knows it. UNAVAILABLE: no primary answers, it sees the cluster down, or not all have heard yet of what it
 * serves. FAILED_PRECONDITION: slots are moving.
 */
export function settled(name: string, shard: ClusterShard, nodes: NodeState[]): SettledShard {
  // One that was away while another took over may not have heard of it yet.
  const [primary] = nodes
    .filter((node): node is SettledShard["primary"] => node.own?.isPrimary === true)
    .sort((one, other) => other.own.epoch - one.own.epoch);
  if (primary === undefined || primary.isLoading)
    throw new StatusError("UNAVAILABLE", `${name} has no primary that answers: a failover may be under way`);
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
  return { name, slots: own.slots, primary, nodes };
}

/** The set of files would hold slots twice, or not at all. */
export const moved = (name: string, planned: string, found: string): StatusError =>
  new StatusError(
    "FAILED_PRECONDITION",
    `${name} was planned with the slots ${planned}, and has ${found === "" ? "none" : found}: slots have moved; take the backup again once they rest`,
  );
