import type { Severity } from "./finding.ts";
import { memoryChecks } from "./health-memory.ts";
import { persistenceChecks } from "./health-persistence.ts";
import { replicationChecks } from "./health-replication.ts";

/** The settings that health is judged by. */
export const inspectedSettings = [
  "save",
  "stop-writes-on-bgsave-error",
  "rdbchecksum",
  "rdbcompression",
  "appendfsync",
  "repl-timeout",
  "client-output-buffer-limit",
] as const;

/** What a node tells of itself. */
export interface Inspection {
  /** `HOST:PORT`. */
  endpoint: string;
  /** The fields of INFO, as text. */
  info: Readonly<Record<string, string>>;
  /** As CONFIG GET tells them; what the server does not let us read is absent. */
  config: Readonly<Partial<Record<(typeof inspectedSettings)[number], string>>>;
}

/** What one check found. UNREAD: the server did not tell what the check needs, so nothing is known either way. */
export interface Verdict {
  state: "OK" | "UNREAD" | Severity;
  message: string;
  /** What to do; empty where nothing is. */
  advice: string;
}

export type Check = (node: Inspection) => Verdict;

const checks = { ...persistenceChecks, ...memoryChecks, ...replicationChecks, "config-unread": unreadSettings };

/** What health can find fault with. */
export type HealthKind = keyof typeof checks;
export const healthKinds = Object.keys(checks) as HealthKind[];

/** A check and its verdict. */
export interface Reading extends Verdict {
  kind: HealthKind;
}

/** From the best to the worst. What nobody could read hides no fault of another node, but is no OK. */
const order = ["OK", "UNREAD", "INFO", "WARNING", "CRITICAL"] as const;

/**
 * How an instance fares as a source of backups, by what its nodes told: a reading for each check. Of several nodes the worst
 * speaks for all, by its endpoint.
 */
export function health(nodes: readonly Inspection[]): Reading[] {
  return healthKinds.map((kind) => {
    const verdicts = nodes.map((node) => named(checks[kind](node), node, nodes.length > 1));
    const unknown: Verdict = { state: "UNREAD", message: "no node was asked", advice: "" };
    const worst = verdicts.reduce((one, other) => (rank(other) > rank(one) ? other : one), verdicts[0] ?? unknown);
    return { kind, ...worst };
  });
}

const rank = ({ state }: Verdict): number => order.indexOf(state);

const named = (verdict: Verdict, { endpoint }: Inspection, isOneOfMany: boolean): Verdict =>
  isOneOfMany ? { ...verdict, message: `${endpoint}: ${verdict.message}` } : verdict;

function unreadSettings({ config }: Inspection): Verdict {
  const missing = inspectedSettings.filter((name) => config[name] === undefined);
  if (missing.length === 0) return { state: "OK", message: "every setting could be read", advice: "" };
  return {
    state: "INFO",
    message: `the server does not tell ${missing.join(", ")}: what depends on them is not checked`,
    advice: "Grant the instance's user +config|get, if the service allows CONFIG at all.",
  };
}
