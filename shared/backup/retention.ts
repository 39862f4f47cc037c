import { StatusError } from "../error.ts";
import type { Backup, RetentionPolicy, Verification } from "./backup.ts";
import { createCalendar, type Period } from "./period.ts";

/** What a sweep does with a backup, and why. */
export interface Decision {
  backup: string;
  action: "KEEP" | "EXPIRE" | "HOLD" | "DEFERRED" | "ERASE";
  reason: string;
}

/** Where an automated sweep finds that a rule keeps a backup. */
type Reasons = Map<Backup, string>;

const ranks: Record<Verification, number> = { UNVERIFIED: 0, CHECKED: 1, PROVEN: 2 };
const rules: [keyof RetentionPolicy & `keep${string}`, Period][] = [
  ["keepDaily", "day"],
  ["keepWeekly", "week"],
  ["keepMonthly", "month"],
  ["keepYearly", "year"],
];

/**
 * One decision for each backup of one collection. A backup expires once its `expireTime` has passed and no rule keeps it. Never taken: the
 * newest verified one, the `minimumRedundancy` best, what is held, what somebody reads (`inUse`: names of backups that live
 * Operations have pinned). Deciding again, after what was decided has been done, decides nothing new.
 */
export function decide(
  catalogue: readonly Backup[],
  policy: RetentionPolicy,
  inUse: ReadonlySet<string>,
  now: string,
): Decision[] {
  const kept = keepers(catalogue, policy);
  return catalogue.map((backup) => ({
    backup: backup.name,
    ...decideOne(backup, kept.get(backup), inUse.has(backup.name), now),
  }));
}

function decideOne(backup: Backup, rule: string | undefined, isInUse: boolean, now: string): Omit<Decision, "backup"> {
  const { state, hold, expireTime, purgeTime, deferredUntil } = backup;
  if (state === "CREATING") return { action: "KEEP", reason: "it is being taken" };
  if (hold !== undefined) return { action: "HOLD", reason: `it is held: ${hold.reason}` };
  if (state === "DELETING") {
    if (isInUse) return { action: "KEEP", reason: "somebody reads it" };
    if (purgeTime === undefined || purgeTime > now)
      return { action: "KEEP", reason: `deleted, can be undeleted until ${purgeTime}` };
    if (deferredUntil !== undefined && deferredUntil > now)
      return { action: "DEFERRED", reason: `deleted, its bucket keeps it until ${deferredUntil}` };
    return { action: "ERASE", reason: `deleted, its grace ended at ${purgeTime}` };
  }
  if (expireTime > now) return { action: "KEEP", reason: `it expires at ${expireTime}` };
  if (isInUse) return { action: "KEEP", reason: "somebody reads it" };
  if (rule !== undefined) return { action: "KEEP", reason: `it expired at ${expireTime}, but ${rule}` };
  return { action: "EXPIRE", reason: `it expired at ${expireTime}` };
}

/** Which rule keeps a backup; the first that does is named. */
function keepers(catalogue: readonly Backup[], policy: RetentionPolicy): Reasons {
  const living = catalogue.filter(({ state }) => state === "ACTIVE").sort(newestFirst);
  const kept: Reasons = new Map();
  const keep = (backup: Backup | undefined, reason: string) => {
    if (backup !== undefined && !kept.has(backup)) kept.set(backup, reason);
  };
  keep(living.find(isVerified), "is the newest verified one");
  const best = [...living].sort((a, b) => ranks[b.verification] - ranks[a.verification] || newestFirst(a, b));
  const minimum = policy.minimumRedundancy ?? 1;
  for (const backup of best.slice(0, minimum)) keep(backup, `is one of the ${minimum} that must stay`);
  const last = policy.keepLast ?? 0;
  for (const backup of living.slice(0, last)) keep(backup, `is one of the last ${last}`);
  const calendar = createCalendar(policy.timeZone ?? "Etc/UTC");
  for (const [rule, period] of rules) keepByPeriod(living, period, policy[rule] ?? 0, calendar, keep);
  return kept;
}

/** The newest of each of the last `count` periods that have one; a verified one before one that is not. */
function keepByPeriod(
  living: readonly Backup[],
  period: Period,
  count: number,
  calendar: (time: string, period: Period) => string,
  keep: (backup: Backup, reason: string) => void,
): void {
  if (count === 0) return;
  const chosen = new Map<string, Backup>();
  for (const backup of living) {
    const name = calendar(backup.createTime, period);
    const before = chosen.get(name);
    if (before === undefined && chosen.size === count) break;
    if (before === undefined || (isVerified(backup) && !isVerified(before))) chosen.set(name, backup);
  }
  for (const [name, backup] of chosen) keep(backup, `is the newest of the ${period} ${name}`);
}

const isVerified = ({ verification }: Backup): boolean => verification !== "UNVERIFIED";

/** By time, and by name where two began in the same millisecond, so that every decision comes out the same. */
function newestFirst(a: Backup, b: Backup): number {
  if (a.createTime !== b.createTime) return a.createTime < b.createTime ? 1 : -1;
  return a.name < b.name ? 1 : -1;
}

/** Of one collection, one sweep puts down at most this share, or `capLeast`, whichever is more. */
const capShare = 0.2;
const capLeast = 10;

/**
 * The same decisions with no more than so many expiries: a sweep that would take much at once is more likely a mistake than a
 * wish. The oldest go first; the others wait for a later sweep.
 */
export function capped(decisions: readonly Decision[], createTimes: ReadonlyMap<string, string>): Decision[] {
  const cap = Math.max(capLeast, Math.floor(decisions.length * capShare));
  const expiring = decisions.filter(({ action }) => action === "EXPIRE");
  if (expiring.length <= cap) return [...decisions];
  const age = ({ backup }: Decision): string => `${createTimes.get(backup)} ${backup}`; // the name tells twins apart
  const going = new Set([...expiring].sort((a, b) => (age(a) < age(b) ? -1 : 1)).slice(0, cap));
  const reason = `a sweep takes at most ${cap} of this collection, ${expiring.length} have expired; a later one goes on`;
  return decisions.map((decision) =>
    decision.action === "EXPIRE" && !going.has(decision) ? { ...decision, action: "DEFERRED", reason } : decision,
  );
}

/** Refuses with INVALID_ARGUMENT a policy that contradicts itself or keeps nothing. */
export function assertPolicy(policy: RetentionPolicy): void {
  for (const [field, value] of Object.entries(policy)) {
    if (field === "timeZone") continue;
    const isCount = Number.isInteger(value) && value >= 0 && value <= 10_000;
    if (!isCount) throw invalid(`${field} ${value}: expected a whole number from 0 to 10000`);
  }
  const { minimumRedundancy = 1, keepLast, timeZone = "Etc/UTC" } = policy;
  if (minimumRedundancy < 1) throw invalid("minimumRedundancy 0 would let the last backup go: expected at least 1");
  if (keepLast !== undefined && keepLast > 0 && keepLast < minimumRedundancy)
    throw invalid(`keepLast ${keepLast} contradicts minimumRedundancy ${minimumRedundancy}: expected at least as many`);
  try {
    createCalendar(timeZone);
  } catch {
    throw invalid(
      `unknown time zone ${JSON.stringify(timeZone.slice(0, 60))}: expected an IANA name, such as Asia/Tokyo`,
    );
  }
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", `retention policy: ${message}`);
