/** What a restore's preflight looks at, in the order in which it tells. */
export const checkNames = [
  "mode",
  "role",
  "empty",
  "version",
  "family",
  "modules",
  "functions",
  "databases",
  "slots",
  "record",
  "memory",
  "eviction",
  "replay",
  "shards",
  "replicas",
  "nodeType",
] as const;

export type CheckName = (typeof checkNames)[number];

/** FAIL refuses the restore. WARN lets it through, and somebody should know. UNKNOWN: the target does not let us find out. */
export type CheckResult = "PASS" | "WARN" | "FAIL" | "UNKNOWN";

/** One thing that must hold before a restore touches anything; `message` says what was found, and what was expected. */
export interface Check {
  name: CheckName;
  result: CheckResult;
  message: string;
}

/** What a check comes to. */
export type Finding = Omit<Check, "name">;

export const pass = (message: string): Finding => ({ result: "PASS", message });
export const warn = (message: string): Finding => ({ result: "WARN", message });
export const fail = (message: string): Finding => ({ result: "FAIL", message });
export const unknown = (message: string): Finding => ({ result: "UNKNOWN", message });

/** Why the checks refuse, in one sentence: the first that fails, and how many more do. `undefined` if they let it through. */
export function refusalOf(checks: readonly Check[]): string | undefined {
  const [first, ...more] = checks.filter(({ result }) => result === "FAIL");
  if (first === undefined) return undefined;
  const rest = more.map(({ name }) => name).join(", ");
  return more.length === 0 ? first.message : `${first.message}; the checks of ${rest} fail too`;
}
