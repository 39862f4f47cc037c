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
  if (told.length === 0) return pass("the files are told of no slots");
  const gap = gapIn(told);
  if (gap === undefined) {
    const message = "the files hold every slot of their cluster";
    const names = [...new Set(backups.filter((name) => name !== undefined))];
    if (names.length < 2) return pass(message);
    return warn(
      `${message}, but are of ${names.length} backups (${names.join(", ")}): what comes out never was at any time`,
    );
  }
  if (told.length < slots.length) return unknown(`${gap}, and of some of the files no manifest tells their slots`);
  return fail(
    `${gap}: name the file of each shard of one backup; what lies apart from its manifest is restored as it is`,
  );
}
