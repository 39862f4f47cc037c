import { type Finding, fail, pass, unknown } from "./check.ts";

/** Of a cluster, all together (cluster.h, CLUSTER_SLOTS). */
const slotCount = 16_384;

/**
 * Whether the files hold every slot of the cluster that they were taken of: without one of its shards a restore would look whole and be
 * short of a part of the keys. `slots`: of each file, as CLUSTER NODES writes them; absent where no manifest tells.
 */
export function checkSlots(slots: readonly (string | undefined)[]): Finding {
  const told = slots.filter((ranges) => ranges !== undefined);
  if (told.length === 0) return pass("the files are told of no slots");
  const held = new Set(told.flatMap(slotsOf)).size;
  const message = `the files hold ${held} of ${slotCount} slots`;
  if (held === slotCount) return pass(message);
  if (told.length < slots.length) return unknown(`${message}, and of some of them it is not known which`);
  return fail(`${message}: name the files of all shards; what lies apart from its manifest is restored as it is`);
}

/** `0-5460 7000`, one by one. */
function slotsOf(ranges: string): number[] {
  return ranges.split(" ").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, n) => first + n);
  });
}
