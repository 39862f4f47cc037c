import type { DeferredBy } from "../backup/backup.ts";
import { day, later } from "../backup/duration.ts";
import type { ObjectInfo } from "./ports.ts";

/** Why objects cannot be removed yet, and from when that is tried again. */
export interface Deferral {
  until: string;
  by: DeferredBy;
}

/** What keeps an object in its bucket at `now`; `undefined`: nothing does. Of a hold nobody knows the end: it is looked at a day later. */
export function deferralOf({ isHeld, retentionExpirationTime = "" }: ObjectInfo, now: string): Deferral | undefined {
  const isRetained = retentionExpirationTime > now;
  if (isHeld)
    return latest({ by: "HOLD", until: later(now, day) }, isRetained ? retained(retentionExpirationTime) : undefined);
  return isRetained ? retained(retentionExpirationTime) : undefined;
}

/** The one of two that ends later. */
export function latest(a: Deferral | undefined, b: Deferral | undefined): Deferral | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.until < b.until ? b : a;
}

const retained = (until: string): Deferral => ({ by: "RETENTION_POLICY", until });
