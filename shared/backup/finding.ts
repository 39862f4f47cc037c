import { createHash } from "node:crypto";
import type { HealthKind } from "./health.ts";

/** INFO: worth knowing. WARNING: protection is weaker than it should be. CRITICAL: data would be lost, or soon will be. */
export const severities = ["INFO", "WARNING", "CRITICAL"] as const;
export type Severity = (typeof severities)[number];

/** What `watch` finds beside the faults of health. */
export type WatchKind =
  | "backup-overdue"
  | "backup-shrunken"
  | "instance-unreachable"
  | "job-missing"
  | "job-paused"
  | "job-different"
  | "operation-stuck"
  | "operation-failed"
  | "outbox-stuck"
  | "bucket-missing"
  | "bucket-public"
  | "bucket-acl"
  | "bucket-unprotected";

export type FindingKind = HealthKind | WatchKind;

/** Something that is not as it should be. */
export interface Symptom {
  kind: FindingKind;
  severity: Severity;
  /** What was found, with its numbers. */
  message: string;
  /** What to do, one sentence. */
  advice: string;
}

/** What one look at a resource came to. */
export interface Look {
  /** `instances/orders`, `operations/…`, `buckets/…`, `jobs/…` or `outbox`. */
  resource: string;
  /** When it began. */
  time: string;
  symptoms: readonly Symptom[];
  /** What this look could not tell: findings of these kinds stay as they are. */
  unread: readonly FindingKind[];
}

/** A symptom and how long it has been there. `findings/{kind and resource}`; a cleared one is kept some days. */
export interface Finding extends Symptom {
  name: string;
  resource: string;
  state: "OPEN" | "CLEARED";
  firstSeenTime: string;
  lastSeenTime: string;
  clearTime?: string;
  /** The highest severity that was told since it is open. */
  raisedSeverity: Severity;
}

/** A finding as a look leaves it, and what has to be told of it. */
export interface Outcome {
  finding: Finding;
  alert?: "raised" | "cleared";
}

/** What a round of `watch` leaves for the next one, and for whoever asks whether somebody watches. */
export interface WatchRecord {
  /** When the last round that came to its end began. */
  time: string;
  /** The instance whose server was inspected last: the next round inspects those behind it. */
  inspected?: string;
  /** The instance whose backups and job were looked at last, if the time was over before all were. */
  reached?: string;
}

export const watchRecord = "watches/last";

/** How long a cleared finding is kept, in seconds. */
export const clearedLife = 7 * 86_400;

/** The same for the same kind and resource, so that no two looks make two of them. */
export function findingName(kind: FindingKind, resource: string): string {
  return `findings/${kind}-${createHash("sha256").update(resource).digest("hex").slice(0, 16)}`;
}

/**
 * What becomes of the findings of a resource by a look at it: only those that change. What a later look has written already
 * is left alone, so that a look which comes late takes nothing back.
 */
export function reconciled(known: readonly Finding[], look: Look): Outcome[] {
  const byName = new Map(known.map((finding) => [finding.name, finding]));
  const seen = look.symptoms.flatMap((symptom) =>
    seenAgain(byName.get(findingName(symptom.kind, look.resource)), symptom, look),
  );
  const kinds = new Set([...look.symptoms.map(({ kind }) => kind), ...look.unread]);
  const gone = known.filter(
    ({ kind, state, lastSeenTime }) => state === "OPEN" && !kinds.has(kind) && lastSeenTime <= look.time,
  );
  return [
    ...seen,
    ...gone.map(
      (finding): Outcome => ({ finding: { ...finding, state: "CLEARED", clearTime: look.time }, alert: "cleared" }),
    ),
  ];
}

function seenAgain(before: Finding | undefined, symptom: Symptom, { resource, time }: Look): Outcome[] {
  const name = findingName(symptom.kind, resource);
  if ((before?.clearTime ?? before?.lastSeenTime ?? "") > time) return [];
  const found = { ...symptom, name, resource, state: "OPEN" as const, lastSeenTime: time };
  if (before?.state !== "OPEN")
    return [{ finding: { ...found, firstSeenTime: time, raisedSeverity: symptom.severity }, alert: "raised" }];
  const { firstSeenTime, raisedSeverity } = before;
  if (severities.indexOf(symptom.severity) <= severities.indexOf(raisedSeverity))
    return [{ finding: { ...found, firstSeenTime, raisedSeverity } }];
  return [{ finding: { ...found, firstSeenTime, raisedSeverity: symptom.severity }, alert: "raised" }];
}

/** The worst first; of equals the one that is there longest. */
export const compareFindings = (a: Finding, b: Finding): number =>
  severities.indexOf(b.severity) - severities.indexOf(a.severity) || (a.firstSeenTime < b.firstSeenTime ? -1 : 1);
