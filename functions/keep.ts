import type { Backup } from "../shared/backup/backup.ts";
import { manifestObject } from "../shared/backup/name.ts";
import { storedObjects } from "../shared/backup/stored-object.ts";
import { expiringAt, held, released, releasing } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import { existing } from "../shared/pipeline/existing.ts";
import { lockedBy } from "../shared/pipeline/held.ts";
import type { Ports } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Holds a backup: first the document, so that no sweep takes it meanwhile, then each of its objects. */
export const hold = step<"hold.v1.requested">({
  on: "hold.v1.requested",
  async admit({ data: { backup, reason }, operation }, change) {
    change.put(backup, held(await existing(change, backup), reason, operation, change.now));
  },
  run: async ({ data: { backup } }, ports, signal) => await holdObjects(backup, true, ports, signal),
  async commit({ data: { backup, reason } }, _, change) {
    change.say("backup.v1.held", { backup, reason });
    await change.end({ response: { backup } });
  },
});

/** Releases the objects first: until the last of them is free, the document says that it is held. */
export const releaseHold = step<"release.v1.requested">({
  on: "release.v1.requested",
  async admit({ data: { backup }, operation }, change) {
    const found = await existing(change, backup);
    // Of two that are at the objects at once, one would leave some as the other does not say.
    const other = await lockedBy(found.hold?.operation, change);
    if (other !== undefined)
      throw new StatusError("FAILED_PRECONDITION", `${other} holds or releases ${backup} right now: wait for it`);
    change.put(backup, releasing(found, operation));
  },
  run: async ({ data: { backup } }, ports, signal) => await holdObjects(backup, false, ports, signal),
  async commit({ data: { backup } }, _, change) {
    change.put(backup, released(await existing(change, backup)));
    change.say("backup.v1.released", { backup });
    await change.end({ response: { backup } });
  },
});

/** Lets a backup expire at another time. */
export const expiry = step<"expiry.v1.requested">({
  on: "expiry.v1.requested",
  async commit({ data: { backup, expireTime } }, _, change) {
    change.put(backup, expiringAt(await existing(change, backup), expireTime, change.now));
    await change.end({ response: { backup, expireTime } });
  },
});

async function holdObjects(
  backup: string,
  isHeld: boolean,
  { store, objects }: Ports,
  signal: AbortSignal,
): Promise<void> {
  const doc = await store.get<Backup>(backup);
  if (doc === undefined) throw new StatusError("NOT_FOUND", `there is no ${backup}`);
  const { bucket } = doc.data;
  const all = [{ object: manifestObject(backup), isIndex: false }, ...storedObjects(doc.data)];
  for (const { object, isIndex } of all) {
    signal.throwIfAborted();
    const found = await objects.stat(bucket, object);
    if (found !== undefined) await objects.setHold(found, isHeld);
    // What is damaged can be released, or nothing would ever take it away; and without an index a backup is whole.
    else if (isHeld && !isIndex) throw new StatusError("DATA_LOSS", `gs://${bucket}/${object} is gone`);
  }
}
