import { type Finding, fail, pass, unknown } from "./check.ts";
import { gapIn } from "./slots.ts";

/**
 * Whether the files hold every slot of the cluster that they were taken of, once: without one of its shards a restore would look whole
 * and be short of a part of the keys. `slots`: of each file, as CLUSTER NODES writes them; absent where no manifest tells.
 */
export function checkSlots(slots: readonly (string | undefined)[]): Finding {
  const told = slots.filter((ranges) => ranges !== undefined);
  if (told.length === 0) return pass("the files are told of no slots");
  const gap = gapIn(told);
  if (gap === undefined) return pass("the files hold every slot of their cluster");
  if (told.length < slots.length) return unknown(`${gap}, and of some of the files no manifest tells their slots`);
  return fail(
    `${gap}: name the file of each shard of one backup; what lies apart from its manifest is restored as it is`,
  );
}
