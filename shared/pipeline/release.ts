import type { Backup, BackupCollection, Endpoint, Instance } from "../backup/backup.ts";
import { later } from "../backup/duration.ts";
import type { Hold } from "../backup/operation.ts";
import type { Change } from "./change.ts";

/** When what a failed backup left is looked for a second time, in seconds: a zombie may have written meanwhile. */
const secondLook = 3600;

/**
 * Gives back, in the commit that ends an Operation, what it holds. If it failed, a backup in the making is taken back
 * and the removal of its objects is asked for, now and once more later; a target that suspends expiry is let go.
 */
export async function release(change: Change, hasFailed: boolean): Promise<void> {
  for (const hold of change.operation.holds) await releaseOne(change, hold, hasFailed);
  change.operation.holds = [];
}

async function releaseOne(change: Change, hold: Hold, hasFailed: boolean): Promise<void> {
  const { name } = change.operation;
  switch (hold.kind) {
    case "lock": {
      const held = await change.read<Instance | BackupCollection>(hold.path);
      if (held === undefined || (held as unknown as Record<string, unknown>)[hold.field] !== name) return;
      const { [hold.field as never]: _, ...free } = held;
      return change.put(hold.path, free);
    }
    case "endpoint": {
      const held = await change.read<Endpoint>(hold.path);
      if (held?.restoring === name) change.remove(hold.path);
      return;
    }
    case "server": {
      const held = await change.read<Endpoint>(hold.path);
      if (!held?.reading?.includes(name)) return;
      const reading = held.reading.filter((reader) => reader !== name);
      return reading.length === 0 ? change.remove(hold.path) : change.put(hold.path, { ...held, reading });
    }
    case "pin": {
      const backup = await change.read<Backup>(hold.path);
      if (!backup?.pins.includes(name)) return;
      return change.put(hold.path, { ...backup, pins: backup.pins.filter((pin) => pin !== name) });
    }
    case "replay": {
      if (!hasFailed) return;
      const data = { instance: hold.path, phase: "ABANDON" as const, operation: name };
      return await change.request("replay.v1.requested", data, `${name} abandoned`);
    }
    case "draft": {
      if (!hasFailed) return;
      const backup = await change.read<Backup>(hold.path);
      if (backup?.operation === name && backup.state === "CREATING") change.remove(hold.path);
      const data = { backup: hold.path, operation: name };
      await change.request("erasure.v1.requested", data, `${name} 1`);
      await change.request("erasure.v1.requested", data, `${name} 2`, later(change.now, secondLook));
    }
  }
}
