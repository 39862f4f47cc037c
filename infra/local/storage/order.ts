/** Compares names by their UTF-8 bytes, the order in which Cloud Storage lists, without encoding them. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** UTF-16 puts surrogates (D800–DFFF) before E000–FFFF, UTF-8 puts what they encode after. Nothing else differs. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** The place of the first of some sorted names that does not come before `name`. */
export function placeOf(name: string, sorted: string[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareNames(sorted[middle] ?? "", name) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
