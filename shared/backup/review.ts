import type { Backup, BackupCollection } from "./backup.ts";

/** From when a sweep has to look at a backup, by what stands in it; `undefined`: only an event can change what is decided. */
export function reviewTimeOf(
  backup: Pick<Backup, "state" | "hold" | "expireTime" | "purgeTime" | "deferredUntil">,
): string | undefined {
  const { state, hold, expireTime, purgeTime, deferredUntil = "" } = backup;
  if (hold !== undefined || state === "CREATING") return undefined;
  if (state === "ACTIVE") return expireTime;
  return purgeTime !== undefined && deferredUntil > purgeTime ? deferredUntil : purgeTime;
}

/** The backup with the `reviewTime` of its fields: every change of its state, its hold or one of its times ends with it. */
export const inReview = (backup: Backup): Backup => reviewedFrom(backup, reviewTimeOf(backup));

/** The backup, to be looked at from then on; `undefined`: not by itself. */
export function reviewedFrom(backup: Backup, reviewTime: string | undefined): Backup {
  const { reviewTime: _, ...rest } = backup;
  return reviewTime === undefined ? rest : { ...rest, reviewTime };
}

/**
 * The collection, to be decided anew as a whole: something happened that may push out what a rule keeps beyond its
 * expiry. That is one more ACTIVE backup (a new one, an undelete), another verification of one, another policy; nothing
 * else does, as no rule asks what time it is, and one backup less makes no rule keep less.
 */
export const toReview = (collection: BackupCollection, now: string): BackupCollection => ({
  ...collection,
  reviewTime: now,
});

/**
 * The collection, in which more may have to stay than the last sweep decided: a backup was taken away by a person, or the policy is
 * another one. What that sweep asked for is refused from here on, and the next one decides.
 */
export const overruled = (collection: BackupCollection, now: string): BackupCollection => ({
  ...collection,
  overruleTime: now,
});
