import { slotRanges, slotsText } from "../../backup/slots.ts";
import { StatusError } from "../../error.ts";
import type { Ask } from "../connect.ts";
import { ifAllowed } from "../describe.ts";
import { fields, list, text } from "./map.ts";

/** What a node of a cluster says of itself. On its own slots nobody knows better. */
export interface OwnView {
  id: string;
  isPrimary: boolean;
  /**
   * The cluster's epoch as the node knows it, which rises whenever slots are taken over, by a failover or from another shard; one that
   * holds the highest epoch already may import a slot without a new one, but whoever takes it back does not (cluster_legacy.c,
   * clusterBumpConfigEpochWithoutConsensus). The node's own epoch where CLUSTER INFO is not allowed.
   */
  epoch: number;
  slots: string;
  /** Slots on their way to it, or from it. */
  isMoving: boolean;
  /** It is connected with most of the cluster. */
  isUp: boolean;
}

/** Marks of moving slots are told in CLUSTER NODES; from Valkey 9.0 on unfinished migrations besides. */
export async function askOwnView(ask: Ask): Promise<OwnView> {
  const [nodes, info, migrations] = await Promise.all([
    ask("CLUSTER", "NODES"),
    ifAllowed(ask("CLUSTER", "INFO")),
    ifAllowed(ask("CLUSTER", "GETSLOTMIGRATIONS")),
  ]);
  const states = list(migrations).map((one) => text(fields(one).get("state")));
  const view = readOwnLine(String(nodes));
  const current = /^cluster_current_epoch:(\d+)/m.exec(text(info))?.[1];
  return {
    ...view,
    epoch: current === undefined ? view.epoch : Number(current),
    isMoving: view.isMoving || states.some((state) => !/^(success|failed|cancel+ed)$/.test(state)),
    isUp: !/^cluster_state:fail/m.test(text(info)),
  };
}

/** `id host:port@bus flags primary ping pong epoch link slot …` (CLUSTER NODES in the manual); a moving slot is `[7->-id]` or `[7-<-id]`. */
export function readOwnLine(nodes: string): Omit<OwnView, "isUp"> {
  const lines = nodes.split("\n").map((line) => line.trim().split(" "));
  const flagsOf = (line: string[]) => (line[2] ?? "").split(",");
  const own = lines.find((line) => flagsOf(line).includes("myself"));
  if (own === undefined) throw new StatusError("UNKNOWN", "CLUSTER NODES names no node as `myself`");
  const [id = "", , , , , , epoch, , ...slots] = own;
  return {
    id,
    isPrimary: flagsOf(own).includes("master"),
    epoch: Number(epoch),
    slots: slotsText(slots.filter((slot) => !slot.startsWith("[")).flatMap(slotRanges)),
    isMoving: slots.some((slot) => slot.startsWith("[")),
  };
}
