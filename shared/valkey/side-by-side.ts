/** How many nodes of a cluster are talked to at once: 250 handshakes at a time would only make each of them slow. */
const AT_ONCE = 16;

/** Works at each of them, `atOnce` at a time, and answers in their order. After the first failure none is begun any more, and it is thrown once all have ended. */
export async function sideBySide<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  atOnce = AT_ONCE,
): Promise<R[]> {
  const results: R[] = [];
  const left = items.entries();
  const failures: unknown[] = [];
  const lane = async () => {
    for (const [at, item] of left) {
      if (failures.length > 0) return;
      try {
        results[at] = await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
