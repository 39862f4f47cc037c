import type { Check, Inspection, Verdict } from "./health.ts";
import { fault, numberOf, ok, unread } from "./health-verdict.ts";

/** A replica that was not heard of for so long is behind, in seconds; it reports every second (valkey.conf, repl-ping). */
const lagSeconds = 10;

/** The server's own default of `repl-timeout`, in seconds: what our snapshots are made for. */
const usualTimeoutSeconds = 60;

/** From this version on a client that takes only the snapshot is not fed the stream of writes (`REPLCONF rdb-only`, 7.0). */
const rdbOnlySince = 7;

/** Whether replicas follow, and a long snapshot is not cut. */
export const replicationChecks = {
  "replica-lagging": replicaLag,
  "replica-link-down": primaryLink,
  "repl-timeout-short": replTimeout,
  "output-buffer-small": outputBuffer,
} as const satisfies Record<string, Check>;

/** A link without a port is no replica: it takes a snapshot, as we do. */
function replicaLag({ info }: Inspection): Verdict {
  if (info.role === undefined) return unread("role");
  const replicas = Object.entries(info)
    .filter(([field]) => /^slave\d+$/.test(field))
    .map(([, line]) => new Map(line.split(",").map((pair) => [pair.split("=")[0], pair.split("=")[1]])))
    .filter((replica) => replica.get("port") !== "0" && replica.get("state") === "online");
  const late = replicas.filter((replica) => Number(replica.get("lag")) > lagSeconds);
  if (late.length === 0) return ok(`${replicas.length} replicas follow`);
  const shown = late.map((replica) => `${replica.get("ip")}:${replica.get("port")} by ${replica.get("lag")} s`);
  return fault(
    "WARNING",
    `replicas lag behind: ${shown.join(", ")}`,
    "Look at the replica's load and its link; a backup taken from it would be as old.",
  );
}

function primaryLink({ info }: Inspection): Verdict {
  if (info.role === undefined) return unread("role");
  if (info.role !== "slave") return ok("it is a primary");
  if (info.master_link_status !== "down") return ok("it follows its primary");
  return fault(
    "WARNING",
    "it is a replica that has lost its primary: it gives no snapshot",
    "Mend the link, or register the primary's endpoint.",
  );
}

function replTimeout({ config }: Inspection): Verdict {
  const seconds = Number(config["repl-timeout"]);
  if (!Number.isFinite(seconds)) return unread("repl-timeout");
  if (seconds >= usualTimeoutSeconds) return ok(`a snapshot may stall for ${seconds} s`);
  return fault(
    "WARNING",
    `repl-timeout is ${seconds} s: a snapshot that stalls for longer is cut`,
    "CONFIG SET repl-timeout 60.",
  );
}

function outputBuffer(node: Inspection): Verdict {
  const version = Number.parseInt(node.info.redis_version ?? "", 10);
  if (Number.isNaN(version)) return unread("redis_version");
  if (version >= rdbOnlySince) return ok("a snapshot does not count against the replicas' output buffer");
  const limits = node.config["client-output-buffer-limit"];
  if (limits === undefined) return unread("client-output-buffer-limit");
  const hard = Number(/(?:slave|replica) (\d+)/.exec(limits)?.[1] ?? 0);
  const used = numberOf(node, "used_memory") ?? 0;
  if (hard === 0 || hard >= used) return ok("the replicas' output buffer outlasts a snapshot");
  return fault(
    "WARNING",
    `the output buffer of replicas ends at ${hard} bytes: many writes during a long snapshot cut it`,
    'CONFIG SET client-output-buffer-limit "replica 0 0 0", or back it up when little is written.',
  );
}
