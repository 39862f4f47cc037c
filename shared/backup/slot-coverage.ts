import { type Finding, fail, pass, unknown, warn } from "./check.ts";
import { gapIn } from "./slots.ts";

/**
 * Whether the files hold every slot of the cluster that they were taken of, once: without one of its shards a restore would look whole
 * and be short of a part of the keys. `slots`: of each file, as CLUSTER NODES writes them; absent where no manifest tells. `backups`: which
 * one each is of. Shards of two backups are cut at different times by whoever asks: who has lost one may want that, and is told.
 */
export function checkSlots(
  slots: readonly (string | undefined)[],
  backups: readonly (string | undefined)[] = [],
): Finding {
  const told = slots.filter((ranges) => ranges !== undefined);
  if (told.length === 0) return pass("no manifest says that the files are shards of a cluster");
  const gap = gapIn(told);
  if (gap === undefined) {
    const message = "the files hold every slot of their cluster";
    const names = [...new Set(backups.filter((name) => name !== undefined))];
    if (names.length < 2) return pass(message);
    return warn(
      `${message}, but are of ${names.length} backups (${names.join(", ")}): the cluster never held the result at any one time`,
    );
  }
  const missing = `the files do not hold every slot of their cluster once: ${gap}`;
  if (told.length < slots.length) return unknown(`${missing}, but no manifest tells the slots of all files`);
  return fail(
    `${missing}: name the file of each shard of one backup; files without their manifest are restored as they are`,
  );
}
