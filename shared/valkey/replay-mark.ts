import { StatusError } from "../error.ts";
import type { ReplayMark } from "../pipeline/ports.ts";
import type { Address } from "./address.ts";
import { withClient } from "./connect.ts";
import { ifAllowed } from "./describe.ts";

/**
 * The key that says, within the target, how far a replay has come: `valkeep:replay:restore-1a2b…` in database 0. Each batch sets it
 * in the transaction that carries it out, so that data and mark can never be apart, not by a crash and not by a restart.
 */
export const markKey = (operation: string): string => `valkeep:replay:${operation}`;

export const encodeMark = ({ log, offset, database }: ReplayMark): string => `${log} ${offset} ${database}`;

/** FAILED_PRECONDITION: it is no mark of ours. */
export function parseMark(text: string, { endpoint }: Address): ReplayMark {
  const [, log, offset, database] = /^(\d{1,6}) (\d{1,15}) (\d{1,10})$/.exec(text) ?? [];
  if (log === undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} holds something else by the name of the replay's mark: rename that key`,
    );
  return { log: Number(log), offset: Number(offset), database: Number(database) };
}

/**
 * Puts down the mark of a beginning, and suspends expiry where the server can (`import-mode`, Valkey 8.1): between the writing of
 * an AOF and its replay the times in it pass, and a key that a later command kept alive must still be there when that command
 * comes. May be repeated. Answers whether expiry is suspended. FAILED_PRECONDITION: a key of that name is there already.
 */
export async function beginReplay(address: Address, operation: string, signal: AbortSignal): Promise<boolean> {
  return await withClient(address, signal, async (ask) => {
    const beginning = encodeMark({ log: 0, offset: 0, database: 0 });
    const key = markKey(operation);
    if ((await ask("SET", key, beginning, "NX")) === null && (await ask("GET", key)) !== beginning)
      throw new StatusError("FAILED_PRECONDITION", `${address.endpoint} holds a key ${key} already: empty it`);
    return (await ifAllowed(ask("CONFIG", "SET", "import-mode", "yes"))) !== undefined;
  });
}

/** How far the replay has come; `undefined`: there is no mark. */
export async function replayMark(
  address: Address,
  operation: string,
  signal: AbortSignal,
): Promise<ReplayMark | undefined> {
  const text = await withClient(address, signal, (ask) => ask("GET", markKey(operation)));
  return typeof text === "string" ? parseMark(text, address) : undefined;
}

/** Takes the mark away, and lets keys expire again. May be repeated. */
export async function endReplay(address: Address, operation: string, signal: AbortSignal): Promise<void> {
  await withClient(address, signal, async (ask) => {
    await ifAllowed(ask("CONFIG", "SET", "import-mode", "no"));
    await ask("DEL", markKey(operation));
  });
}
