import type { StoredBucket } from "./bucket.ts";
import { ApiError } from "./error.ts";
import type { StoredObject } from "./object.ts";

/** Until when the bucket's retention policy keeps an object; unknown while an event-based hold stops that clock. */
export function retentionExpirationTime(object: StoredObject, bucket: StoredBucket): Date | undefined {
  if (bucket.retentionPolicy === undefined || object.settings.eventBasedHold) return undefined;
  const start = object.eventHoldReleaseTime ?? object.createTime;
  return new Date(Date.parse(start) + bucket.retentionPolicy.retentionPeriod * 1000);
}

/** Throws 403, with Google's reasons, if the object may be neither deleted nor overwritten at `now`. */
export function refuseIfKept(object: StoredObject, bucket: StoredBucket, now: Date): void {
  const name = `Object '${object.bucket}/${object.name}'`;
  const { temporaryHold, eventBasedHold } = object.settings;
  const hold = temporaryHold ? "Temporary" : eventBasedHold ? "Event-Based" : undefined;
  if (hold !== undefined) {
    const message = `${name} is under active ${hold} hold and cannot be deleted, overwritten or archived until hold is removed.`;
    throw new ApiError(403, "objectUnderActiveHold", message);
  }
  const expires = retentionExpirationTime(object, bucket);
  if (expires !== undefined && expires > now) {
    const message = `${name} is subject to bucket's retention policy or object retention and cannot be deleted or overwritten until ${expires.toISOString()}`;
    throw new ApiError(403, "retentionPolicyNotMet", message);
  }
}
