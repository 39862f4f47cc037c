/** How many nodes of a cluster are talked to at once: 250 handshakes at a time would only make each of them slow. */
const AT_ONCE = 16;

/** Works at each of them, a few at a time, and answers in their order. The first failure is the failure of all. */
export async function sideBySide<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  const lane = async () => {
    for (const [at, item] of left) results[at] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, lane));
  return results;
}
