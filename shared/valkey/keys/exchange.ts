import type { Exchange, Exchanged, ExchangeOptions } from "../../pipeline/ports.ts";
import { slotOf } from "../cluster/slot.ts";
import { type FencedNode, fence } from "../fence.ts";
import { Link } from "../link.ts";
import { type LoadTarget, serverAt } from "../load/target.ts";
import { sideBySide } from "../side-by-side.ts";
import { Exchanger } from "./exchanger.ts";
import { type KeysOfNode, keysByNode, selectDatabase } from "./node.ts";

/** Changes that are made in one transaction: one that a live writer breaks is tried again key by key. */
const AT_ONCE = 32;

/** Bytes of values in one transaction: the server holds it whole until it is carried out. */
const TRANSACTION_BYTES = 1024 * 1024;

const SLAB_BYTES = 256 * 1024;

/** Makes each change in a transaction that the server drops if the key is touched after it was compared (WATCH). */
export async function exchange(
  target: LoadTarget,
  exchanges: readonly Exchange[],
  options: ExchangeOptions,
  signal: AbortSignal,
): Promise<Exchanged[]> {
  const places = exchanges.map((one, index) => ({ ...one, index }));
  const opened: (KeysOfNode<Placed> & FencedNode)[] = [];
  const results: Exchanged[] = [];
  try {
    for (const { address, items } of keysByNode(target, places))
      opened.push({ address, items, link: await Link.open(address, signal, { slabBytes: SLAB_BYTES }) });
    await fence(opened, options, signal);
    await sideBySide(opened, async ({ address, items, link }) => {
      await selectDatabase(link, address, options.database);
      const exchanger = new Exchanger(link, address, serverAt(target, address), options, signal);
      for (const some of transactionsOf(items, target.owners !== undefined))
        for (const [at, result] of (await exchanger.make(some)).entries()) results[some[at]?.index ?? 0] = result;
    });
    return results;
  } finally {
    for (const { link } of opened) link.close();
  }
}

/** A change with its place among those that were asked for. */
type Placed = Exchange & { index: number };

/** In a cluster a transaction knows one slot. */
function* transactionsOf(exchanges: readonly Placed[], isCluster: boolean): Generator<Placed[]> {
  let some: Placed[] = [];
  let bytes = 0;
  let slot = 0;
  for (const one of exchanges) {
    const size = one.to?.valueBytes ?? 0;
    const here = isCluster ? slotOf(one.key) : 0;
    const isFull = some.length === AT_ONCE || bytes + size > TRANSACTION_BYTES || here !== slot;
    if (some.length > 0 && isFull) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += size;
    slot = here;
  }
  if (some.length > 0) yield some;
}
