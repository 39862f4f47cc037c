import { type Code, ReplicationRefused, StatusError } from "../error.ts";
import type { Address } from "./address.ts";
import { saveRefusal } from "./volume/save-failure.ts";

/** The commands that a backup needs, as an ACL grants them. */
const backupGrants = "+ping +info +psync +replconf +function|stats";
/** The commands and keys that a backup by SCAN needs; in a cluster that of replicas `+readonly` too. */
const scanGrants = "+ping +info +scan +dump +pexpiretime +multi +exec +select +function|dump ~*";
const scanCommands = ["SCAN", "DUMP", "SELECT", "FUNCTION DUMP", "READONLY"];
/** The commands and keys that a restore needs besides. */
const restoreGrants = "+restore +select +function|load +client|setname +client|list +client|kill ~*";
/** What both need in a cluster. */
const clusterGrants = "+cluster|shards +cluster|slots +asking";

/** The commands that single keys need in an instance that is in use. */
const keyGrants = "+dump +pexpiretime +watch +unwatch +multi +exec +del";

/** What the codes of Valkey's error replies mean to an operator. `%s` stands for the endpoint. */
const replies: Record<string, [Code, string]> = {
  WRONGPASS: ["UNAUTHENTICATED", "%s refuses the user name or password: check --auth-user and --auth-secret"],
  NOAUTH: ["UNAUTHENTICATED", "%s asks for a password: set --auth-secret"],
  LOADING: ["UNAVAILABLE", "%s is loading its data set: it answers once that is done"],
  BUSY: ["UNAVAILABLE", "%s is busy with a script: SCRIPT KILL or FUNCTION KILL ends it"],
  NOMASTERLINK: ["UNAVAILABLE", "%s is a replica that has lost its primary: mend the link or name another node"],
  MASTERDOWN: ["UNAVAILABLE", "%s is a replica that has lost its primary: mend the link or name another node"],
  READONLY: ["FAILED_PRECONDITION", "%s is a read-only replica: name its primary as the endpoint"],
  MISCONF: ["UNAVAILABLE", "%s takes no writes because it cannot save to its disk: mend that, see its log"],
  NOREPLICAS: ["UNAVAILABLE", "%s takes no writes while too few replicas are connected (min-replicas-to-write)"],
  CLUSTERDOWN: ["UNAVAILABLE", "%s: the cluster is down: see CLUSTER INFO"],
  MOVED: ["FAILED_PRECONDITION", "%s does not serve that slot: the cluster's slots have moved"],
  ASK: ["FAILED_PRECONDITION", "%s is moving that slot to another node: try again when the cluster is at rest"],
  BUSYKEY: ["FAILED_PRECONDITION", "%s, the target, has a key already: someone else writes there; stop them, empty it"],
};

/**
 * Whether a server that refuses a PING so may take what we ask next. While it cannot save (MISCONF) it refuses PING along with all
 * writes (`processCommand` in server.c), and gives snapshots as ever; without a password or the right to PING, AUTH is still to come.
 */
export const isGreeting = (text: string, { password }: Address): boolean =>
  text.startsWith("MISCONF") || (password !== undefined && /^(NOAUTH|NOPERM)/.test(text));

/** An error reply (without its `-`) as an operator's error. `command` is what we had asked, without arguments. */
export function replyFailure(address: Address, command: string, text: string): StatusError {
  const refusal = command === "BGSAVE" ? saveRefusal(address.endpoint, address.user, text) : undefined;
  if (refusal !== undefined) return refusal;
  const code = /^[A-Z]+/.exec(text)?.[0] ?? "";
  const known = Object.hasOwn(replies, code) ? replies[code] : undefined;
  if (known) return new StatusError(known[0], known[1].replace("%s", address.endpoint));
  if (code === "NOPERM") return missingPermission(address, command, text);
  if (/max number of clients/.test(text)) {
    return new StatusError("UNAVAILABLE", `${address.endpoint} has reached maxclients: end some clients or raise it`);
  }
  if (text.startsWith("DENIED")) {
    const advice = "set a password there, or bind it to an address";
    return new StatusError("FAILED_PRECONDITION", `${address.endpoint} runs in protected mode: ${advice}`);
  }
  // An "unknown command" reply repeats the arguments, and those may be keys and values.
  const shown = text.replace(/,? with args beginning with.*$/s, "").slice(0, 200);
  return new StatusError("UNKNOWN", `${address.endpoint} answered ${command} with: ${shown}`);
}

function missingPermission({ endpoint, user }: Address, command: string, text: string): StatusError {
  const lacks = /'([^']+)' command/.exec(text)?.[1] ?? (/key/.test(text) ? "access to every key" : command);
  const grants = scanCommands.includes(command) ? scanGrants : backupGrants;
  return new StatusError(
    "PERMISSION_DENIED",
    `the ACL of user ${user} at ${endpoint} lacks ${lacks}: ` +
      `ACL SETUSER ${user} ${grants} (and to restore: ${restoreGrants}; ` +
      `single keys into a live instance: ${keyGrants}; in a cluster also ${clusterGrants})`,
  );
}

/** The same failure, told apart where it says that the server keeps the replication protocol, or one command of it, to itself. */
export function asReplicationRefused(failure: unknown): unknown {
  if (!(failure instanceof StatusError)) return failure;
  const isUnknown = failure.code === "UNKNOWN" && /unknown command/i.test(failure.message);
  if (failure.code !== "PERMISSION_DENIED" && !isUnknown) return failure;
  return new ReplicationRefused(isUnknown ? "UNIMPLEMENTED" : failure.code, failure.message);
}

/** The socket failed before the server had said anything. */
export function connectFailure(address: Address, error: NodeJS.ErrnoException): StatusError {
  const code = error.code ?? "";
  if (isCertificateProblem(code)) {
    return new StatusError(
      "FAILED_PRECONDITION",
      `the certificate of ${address.endpoint} is not accepted (${code}): check --ca-file and the name in the endpoint`,
      { cause: error },
    );
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    const advice = "check its spelling, and the DNS of where this runs";
    return new StatusError("UNAVAILABLE", `the name in ${address.endpoint} has no address (${code}): ${advice}`, {
      cause: error,
    });
  }
  return nobodyAnswers(address, code || error.message, error);
}

/** No connection, or no answer on it, in time. */
export function nobodyAnswers({ endpoint }: Address, why: string, cause?: unknown): StatusError {
  const message = `nobody answers at ${endpoint} (${why}): check the endpoint and the firewall`;
  return new StatusError("UNAVAILABLE", message, { cause });
}

/** The link broke while it was in use. */
export function brokenLink({ endpoint }: Address, cause: NodeJS.ErrnoException): StatusError {
  if (
    cause.code === "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" ||
    cause.code === "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE"
  ) {
    const advice = "set tls-auth-clients to no or optional there";
    return new StatusError("FAILED_PRECONDITION", `${endpoint} wants a client certificate: ${advice}`, { cause });
  }
  return new StatusError("UNAVAILABLE", `the connection to ${endpoint} broke: ${cause.message}`, { cause });
}

export function speaksNoTls({ endpoint }: Address): StatusError {
  const advice = "set --transit-encryption-mode=transit-encryption-disabled";
  return new StatusError("FAILED_PRECONDITION", `${endpoint} speaks no TLS: ${advice}`);
}

export function speaksTls({ endpoint }: Address): StatusError {
  const advice = "set --transit-encryption-mode=server-authentication and --ca-file";
  return new StatusError("FAILED_PRECONDITION", `${endpoint} speaks only TLS: ${advice}`);
}

/** Somebody answers, but not in Valkey's protocol. */
export function notValkey({ endpoint }: Address): StatusError {
  return new StatusError("FAILED_PRECONDITION", `what answers at ${endpoint} is no Valkey: check the endpoint's port`);
}

/** Node's codes for what OpenSSL and the check of the name find wrong with a certificate (nodejs.org/api/tls.html). */
function isCertificateProblem(code: string): boolean {
  return /CERT|^ERR_TLS_CERT_ALTNAME|^UNABLE_TO_|^INVALID_CA|^PATH_LENGTH|^INVALID_PURPOSE|^HOSTNAME_MISMATCH|^CRL_/.test(
    code,
  );
}
