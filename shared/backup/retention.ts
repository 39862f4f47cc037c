import { StatusError } from "../error.ts";
import type { Backup, RetentionPolicy, Verification } from "./backup.ts";
import { shortLife } from "./billing.ts";
import { type Calendar, createCalendars, type Period } from "./period.ts";
import { reviewTimeOf } from "./review.ts";

/** What of a backup is asked for a decision. */
export type Entry = Pick<
  Backup,
  "name" | "state" | "createTime" | "expireTime" | "verification" | "pins" | "reviewTime"
> &
  Pick<Backup, "hold" | "purgeTime" | "purgeStartTime" | "deferredUntil" | "deferredBy"> & {
    /** Whether any of its files does: a server that has lost its data is backed up, and verified, as well as any other. */
    holdsKeys: boolean;
  };

/** What a sweep does with a backup, and why. */
export interface Decision {
  backup: string;
  action: "KEEP" | "EXPIRE" | "HOLD" | "DEFERRED" | "ERASE";
  reason: string;
  /** From when time alone can make it another decision; absent: only an event can. */
  reviewTime?: string;
}

type Calendars = ReturnType<typeof createCalendars>;

/** Which rule keeps a backup. */
type Reasons = Map<Entry, string>;

const ranks: Record<Verification, number> = { UNVERIFIED: 0, CHECKED: 1, PROVEN: 2 };
const rules: [keyof RetentionPolicy & `keep${string}`, Period][] = [
  ["keepDaily", "day"],
  ["keepWeekly", "week"],
  ["keepMonthly", "month"],
  ["keepYearly", "year"],
];

/**
 * One decision for each backup of one collection. A backup expires once its `expireTime` has passed and no rule keeps it. Never taken: the
 * newest verified one, the newest verified one that holds keys, the `minimumRedundancy` best, what is held, what somebody reads
 * (`inUse`: names of backups that live Operations have pinned). Deciding again, after what was decided has been done, decides
 * nothing new. A policy that is not valid keeps everything. Who decides many collections hands in the same `calendars`.
 */
export function decide(
  catalogue: readonly Entry[],
  policy: RetentionPolicy,
  inUse: ReadonlySet<string>,
  now: string,
  calendars = createCalendars(),
): Decision[] {
  const fault = faultOf(policy, calendars);
  const kept = keepers(catalogue, fault === undefined ? policy : {}, calendars);
  return catalogue.map((backup) => {
    const rule = kept.get(backup) ?? fault;
    const isKeptOn = rule !== undefined && backup.state === "ACTIVE" && backup.expireTime <= now;
    const reviewTime = isKeptOn ? undefined : reviewTimeOf(backup);
    const decided = decideOne(backup, rule, inUse.has(backup.name), now);
    return { backup: backup.name, ...decided, ...(reviewTime !== undefined && { reviewTime }) };
  });
}

/** Why a policy that somebody wrote past `assertPolicy` keeps everything: one broken collection must not stop every sweep. */
function faultOf(policy: RetentionPolicy, calendars: Calendars): string | undefined {
  try {
    assertPolicy(policy, calendars);
    return undefined;
  } catch (error) {
    if (error instanceof StatusError) return `stays while its policy is not valid (${error.message})`;
    throw error;
  }
}

function decideOne(
  backup: Entry,
  rule: string | undefined,
  isInUse: boolean,
  now: string,
): Pick<Decision, "action" | "reason"> {
  const { state, hold, expireTime, purgeTime, deferredUntil } = backup;
  if (state === "CREATING") return { action: "KEEP", reason: "it is being taken" };
  if (hold !== undefined) return { action: "HOLD", reason: `it is held: ${hold.reason}` };
  if (state === "DELETING") {
    if (isInUse) return { action: "KEEP", reason: "somebody reads it" };
    if (purgeTime === undefined || purgeTime > now)
      return { action: "KEEP", reason: `deleted, can be undeleted until ${purgeTime}${billed(backup, purgeTime)}` };
    if (deferredUntil !== undefined && deferredUntil > now)
      return { action: "DEFERRED", reason: deferralReason(backup, deferredUntil) };
    return { action: "ERASE", reason: `deleted, its grace ended at ${purgeTime}` };
  }
  if (expireTime > now) return { action: "KEEP", reason: `it expires at ${expireTime}${billed(backup, expireTime)}` };
  if (isInUse) return { action: "KEEP", reason: "somebody reads it" };
  if (rule !== undefined) return { action: "KEEP", reason: `it expired at ${expireTime}, but ${rule}` };
  return { action: "EXPIRE", reason: `it expired at ${expireTime}` };
}

/** What a person should know of a backup that ends so soon, after a semicolon. */
function billed(backup: Entry, endTime: string | undefined): string {
  const short = endTime === undefined ? undefined : shortLife(backup, endTime);
  return short === undefined ? "" : `; ${short}`;
}

function deferralReason({ deferredBy, purgeStartTime }: Entry, until: string): string {
  const keeper =
    deferredBy === "HOLD"
      ? `a hold on its files keeps it; it is looked at again at ${until}`
      : `its bucket's retention policy keeps it until ${until}`;
  return `deleted, ${keeper}${purgeStartTime === undefined ? "; it can be undeleted until then" : ""}`;
}

/** Which rule keeps a backup; the first that does is named. */
function keepers(catalogue: readonly Entry[], policy: RetentionPolicy, calendars: Calendars): Reasons {
  const living = catalogue.filter(({ state }) => state === "ACTIVE").sort(newestFirst);
  const kept: Reasons = new Map();
  const keep = (backup: Entry | undefined, reason: string) => {
    if (backup !== undefined && !kept.has(backup)) kept.set(backup, reason);
  };
  const verified = living.filter(isVerified);
  const withKeys = verified.find(({ holdsKeys }) => holdsKeys);
  keep(verified[0], "is the newest verified one");
  keep(withKeys, "is the newest verified one that holds keys");
  const best = [...living].sort((a, b) => ranks[b.verification] - ranks[a.verification] || newestFirst(a, b));
  const minimum = policy.minimumRedundancy ?? 1;
  for (const backup of best.slice(0, minimum)) keep(backup, `is one of the ${minimum} that must stay`);
  const last = policy.keepLast ?? 0;
  for (const backup of living.slice(0, last)) keep(backup, `is one of the last ${last}`);
  const calendar = calendars(policy.timeZone ?? "Etc/UTC");
  for (const [rule, period] of rules) keepByPeriod(living, period, policy[rule] ?? 0, calendar, keep);
  return kept;
}

/** The newest of each of the last `count` periods that have one; a verified one before one that is not. */
function keepByPeriod(
  living: readonly Entry[],
  period: Period,
  count: number,
  calendar: Calendar,
  keep: (backup: Entry, reason: string) => void,
): void {
  if (count === 0) return;
  const chosen = new Map<string, Entry>();
  for (const backup of living) {
    const name = calendar(backup.createTime, period);
    const before = chosen.get(name);
    if (before === undefined && chosen.size === count) break;
    if (before === undefined || (isVerified(backup) && !isVerified(before))) chosen.set(name, backup);
  }
  for (const [name, backup] of chosen) keep(backup, `is the newest of the ${period} ${name}`);
}

const isVerified = ({ verification }: Entry): boolean => verification !== "UNVERIFIED";

/** By time, and by name where two began in the same millisecond, so that every decision comes out the same. */
function newestFirst(a: Entry, b: Entry): number {
  if (a.createTime !== b.createTime) return a.createTime < b.createTime ? 1 : -1;
  return a.name < b.name ? 1 : -1;
}

/** Refuses with INVALID_ARGUMENT a policy that contradicts itself or keeps nothing. */
export function assertPolicy(policy: RetentionPolicy, calendars: Calendars = createCalendars()): void {
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
    calendars(timeZone);
  } catch {
    throw invalid(
      `unknown time zone ${JSON.stringify(String(timeZone).slice(0, 60))}: expected an IANA name, such as Asia/Tokyo`,
    );
  }
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", `retention policy: ${message}`);
