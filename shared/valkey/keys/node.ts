import { StatusError } from "../../error.ts";
import type { Address } from "../address.ts";
import { slotOf } from "../cluster/slot.ts";
import { replyFailure } from "../failure.ts";
import type { Link } from "../link.ts";
import type { LoadTarget } from "../load/target.ts";

/** Some keys, and the node that serves them. */
export interface KeysOfNode<T> {
  address: Address;
  items: T[];
}

/** Keys by the node that serves them, those of one slot beside each other; nodes that serve none of them are left out. */
export function keysByNode<T extends { key: Uint8Array }>(
  { nodes, owners }: LoadTarget,
  keys: readonly T[],
): KeysOfNode<T>[] {
  const all = nodes.map(({ address }) => ({ address, items: [] as T[] }));
  if (owners === undefined) all[0]?.items.push(...keys);
  else {
    const placed = keys.map((item) => ({ item, slot: slotOf(item.key) })).sort((one, other) => one.slot - other.slot);
    for (const { item, slot } of placed) all[owners[slot] ?? 0]?.items.push(item);
  }
  return all.filter(({ items }) => items.length > 0);
}

/** An error reply about single keys. Where a slot is on its way to another node, the attempt is worth another one. */
export function keyFailure(address: Address, name: string, text: string): StatusError {
  if (!/^(MOVED|ASK|TRYAGAIN|CROSSSLOT) /.test(text)) return replyFailure(address, name, text);
  const message = `slots are moving at ${address.endpoint}: ${name} is tried again once they have arrived`;
  return new StatusError("UNAVAILABLE", message);
}

/** Goes to the database that the keys are in. FAILED_PRECONDITION: the server has none of that number. */
export async function selectDatabase(link: Link, { endpoint }: Address, database: number): Promise<void> {
  if (database === 0) return;
  await link.ask("SELECT", `${database}`).catch((error: unknown) => {
    if (!(error instanceof StatusError) || error.code !== "UNKNOWN") throw error;
    const message = `${endpoint} has no database ${database}: raise \`databases\` there, or restore into a server without cluster mode`;
    throw new StatusError("FAILED_PRECONDITION", message, { cause: error });
  });
}
