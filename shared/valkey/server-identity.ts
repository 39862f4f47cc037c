import type { ServerIdentity } from "../backup/server-identity.ts";
import { endpointAt } from "./address.ts";
import type { Info } from "./info.ts";

/**
 * What a single server tells of who it is. `peer`: the network address where it answers; absent where that may be the address of several
 * servers.
 */
export function identityOf(info: Info, peer: string | undefined): ServerIdentity {
  const history = info.get("master_replid");
  const former = info.get("master_replid2");
  const ids = [info.get("run_id"), peer];
  // Without a backlog there are no replicas, and the first one begins another history.
  if (info.get("repl_backlog_active") === "1") ids.push(history);
  // What the replica holds is its primary's, of which the history may be a new one since that was asked.
  if (info.get("role") === "slave") ids.push(endpointAt(info.get("master_host") ?? "", info.number("master_port")));
  return {
    ids: ids.filter((id) => id !== undefined),
    ...(former !== undefined && /[^0]/.test(former) && { formerIds: [former] }),
  };
}
