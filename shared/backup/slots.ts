/** Slots of every cluster (Valkey cluster.h, CLUSTER_SLOTS). */
export const slotCount = 16_384;

export type SlotRange = [first: number, last: number];

/** Slots as CLUSTER NODES writes them, `0-5460 7000`, in the order of their numbers and no two stretches that touch. */
export function slotsText(ranges: readonly SlotRange[]): string {
  const merged: SlotRange[] = [];
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    const before = merged.at(-1);
    if (before !== undefined && first === before[1] + 1) before[1] = last;
    else merged.push([first, last]);
  }
  return merged.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(" ");
}

/** The stretches of such a text; none of an empty one. */
export function slotRanges(text: string): SlotRange[] {
  return [...text.matchAll(/(\d+)(?:-(\d+))?/g)].map(([, first, last]) => [Number(first), Number(last ?? first)]);
}

/** What keeps sets of slots from covering all of them, each once; `undefined` where nothing does. */
export function gapIn(texts: readonly string[]): string | undefined {
  const ranges = texts.flatMap(slotRanges).sort(([a], [b]) => a - b);
  let next = 0;
  for (const [first, last] of ranges) {
    if (first > next) return `slot ${next} is in none of them`;
    if (first < next) return `slot ${first} is in two of them`;
    next = last + 1;
  }
  if (next < slotCount) return `slot ${next} is in none of them`;
  return next > slotCount ? `slot ${next - 1} does not exist` : undefined;
}

/** The first slot of the stretches that is not among those of a text; `undefined` where all are. */
export function slotOutside(stretches: readonly SlotRange[], text: string): number | undefined {
  const own = slotRanges(text).sort(([a], [b]) => a - b);
  for (const [first, last] of stretches) {
    let next = first;
    for (const [from, to] of own) if (from <= next && next <= to) next = to + 1;
    if (next <= last) return next;
  }
  return undefined;
}
