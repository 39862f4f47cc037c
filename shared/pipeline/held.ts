import type { Backup } from "../backup/backup.ts";
import { isOperationName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import type { Change } from "./change.ts";
import type { Store } from "./ports.ts";

/** The Operations among a backup's pins that are still going on: a pin is void once its Operation is done. */
export async function livePins(backup: Backup, change: Change): Promise<string[]> {
  const live: string[] = [];
  for (const pin of backup.pins) if (await isLive(pin, change)) live.push(pin);
  return live;
}

/** The Operation that holds a lock, if it is another one and still going on. */
export async function lockedBy(holder: string | undefined, change: Change): Promise<string | undefined> {
  if (holder === undefined || holder === change.operation.name) return undefined;
  return (await isLive(holder, change)) ? holder : undefined;
}

/** The same of any text that may name an Operation: what names none of ours is nobody's. */
export async function isGoingOn(operation: string, store: Store): Promise<boolean> {
  if (!isOperationName(operation)) return false;
  return (await store.get<Operation>(operation))?.data.done === false;
}

async function isLive(operation: string, change: Change): Promise<boolean> {
  const found = await change.read<Operation>(operation);
  return found?.done === false;
}
