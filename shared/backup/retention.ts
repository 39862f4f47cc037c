import type { Backup } from "./backup.ts";

/** What a sweep does with a backup, and why. */
export interface Decision {
  backup: string;
  action: "KEEP" | "EXPIRE" | "HOLD" | "ERASE";
  reason: string;
}

/**
 * One decision for each backup of one collection. Never takes the newest verified one, what is held, or what somebody reads
 * (`inUse`: names of backups that live Operations have pinned).
 */
export function decide(catalogue: readonly Backup[], inUse: ReadonlySet<string>, now: string): Decision[] {
  const newest = newestVerified(catalogue);
  return catalogue.map((backup) => ({
    backup: backup.name,
    ...decideOne(backup, backup === newest, inUse.has(backup.name), now),
  }));
}

function decideOne(backup: Backup, isNewest: boolean, isInUse: boolean, now: string): Omit<Decision, "backup"> {
  switch (backup.state) {
    case "CREATING":
      return { action: "KEEP", reason: "it is being taken" };
    case "DELETING":
      if (backup.hold !== undefined) return { action: "HOLD", reason: `it is held: ${backup.hold.reason}` };
      if (isInUse) return { action: "KEEP", reason: "somebody reads it" };
      if ((backup.purgeTime ?? "~") > now)
        return { action: "KEEP", reason: `deleted, can be undeleted until ${backup.purgeTime}` };
      return { action: "ERASE", reason: `deleted, its grace ended at ${backup.purgeTime}` };
    case "ACTIVE":
      if (backup.expireTime > now) return { action: "KEEP", reason: `it expires at ${backup.expireTime}` };
      if (backup.hold !== undefined) return { action: "HOLD", reason: `it is held: ${backup.hold.reason}` };
      if (isInUse) return { action: "KEEP", reason: "somebody reads it" };
      if (isNewest)
        return { action: "KEEP", reason: `it expired at ${backup.expireTime}, but is the newest verified one` };
      return { action: "EXPIRE", reason: `it expired at ${backup.expireTime}` };
  }
}

function newestVerified(catalogue: readonly Backup[]): Backup | undefined {
  const verified = catalogue.filter(({ state, verification }) => state === "ACTIVE" && verification !== "UNVERIFIED");
  return verified.reduce<Backup | undefined>(
    (newest, backup) => (newest === undefined || backup.createTime > newest.createTime ? backup : newest),
    undefined,
  );
}
