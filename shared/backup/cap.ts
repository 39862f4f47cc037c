import type { Decision } from "./retention.ts";

/** Of one collection, one sweep puts down at most this share, or `least`, whichever is more, and never more than `most`. */
const share = 0.2;
const least = 10;

/** And it erases at most so many: what a sweep asks for in one collection fits into one commit. */
const most = 40;

/**
 * The same decisions with no more than so many expiries and erasures: a sweep that would take much at once is more likely a
 * mistake than a wish. The oldest expire first; which are erased goes round with `turn`, so that what cannot be erased does not
 * stand before the others for ever. The rest is DEFERRED to a later sweep.
 */
export function capped(decisions: readonly Decision[], createTimes: ReadonlyMap<string, string>, turn = 0): Decision[] {
  const of = (action: Decision["action"]): Decision[] => decisions.filter((decision) => decision.action === action);
  const age = ({ backup }: Decision): string => `${createTimes.get(backup)} ${backup}`; // the name tells twins apart
  const expiring = of("EXPIRE").sort((a, b) => (age(a) < age(b) ? -1 : 1));
  const erasing = of("ERASE");
  const from = turn % Math.max(erasing.length, 1);
  const cap = Math.min(most, Math.max(least, Math.floor(decisions.length * share)));
  const going = new Set([
    ...expiring.slice(0, cap),
    ...[...erasing.slice(from), ...erasing.slice(0, from)].slice(0, most),
  ]);
  const reasons: { [A in Decision["action"]]?: string } = {
    EXPIRE: `a sweep takes at most ${cap} of this collection, ${expiring.length} have expired; a later one goes on`,
    ERASE: `a sweep erases at most ${most} of this collection, ${erasing.length} are due; a later one goes on`,
  };
  return decisions.map((decision) => {
    const reason = reasons[decision.action];
    return reason === undefined || going.has(decision) ? decision : { ...decision, action: "DEFERRED", reason };
  });
}
