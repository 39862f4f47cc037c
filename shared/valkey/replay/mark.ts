import { StatusError } from "../../error.ts";
import type { Replayer, ReplayMark } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { withClient } from "../connect.ts";
import { ifAllowed } from "../describe.ts";
import type { Link } from "../link.ts";
import { withReplayLink } from "./replay-link.ts";

/** How long a server may take to answer a small command. */
const replyMs = 10_000;

/**
 * The key that says, within the target, how far a replay has come: `valkeep:replay:restore-1a2b…` in database 0. Each batch sets it
 * in the transaction that carries it out, so that data and mark can never be apart, not by a crash and not by a restart.
 */
export const markKey = (operation: string): string => `valkeep:replay:${operation}`;

export const encodeMark = ({ log, offset, database }: ReplayMark): string => `${log} ${offset} ${database}`;

/** FAILED_PRECONDITION: it is no mark of ours. */
function parseMark(text: string, { endpoint }: Address): ReplayMark {
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
 * comes. Answers whether expiry is suspended. FAILED_PRECONDITION: a key of that name is there already.
 */
export async function beginReplay(address: Address, replayer: Replayer, signal: AbortSignal): Promise<boolean> {
  return await withReplayLink(address, replayer, signal, async (link) => {
    const beginning = encodeMark({ log: 0, offset: 0, database: 0 });
    const key = markKey(replayer.operation);
    const isNew = (await link.ask("SET", key, beginning, "NX")).startsWith("+");
    if (!isNew && (await readBulk(link, key)) !== beginning)
      throw new StatusError("FAILED_PRECONDITION", `${address.endpoint} holds a key ${key} already: empty it`);
    return (await ifAllowed(link.ask("CONFIG", "SET", "import-mode", "yes"))) !== undefined;
  });
}

/** Takes the mark away, and lets keys expire again. PERMISSION_DENIED: they do not, and nobody lets us change that. */
export async function endReplay(address: Address, replayer: Replayer, signal: AbortSignal): Promise<void> {
  await withReplayLink(address, replayer, signal, async (link) => {
    const isRefused = (await ifAllowed(link.ask("CONFIG", "SET", "import-mode", "no"))) === undefined;
    await link.ask("DEL", markKey(replayer.operation));
    if (isRefused && (await suspendsExpiry(link))) throw stillSuspended(address);
  });
}

/** Only a server that suspends expiry takes a source of imports; where that is refused, too, it cannot be told. */
const suspendsExpiry = async (link: Link): Promise<boolean> =>
  (await ifAllowed(link.ask("CLIENT", "IMPORT-SOURCE", "ON"))) !== undefined;

const stillSuspended = ({ endpoint, user }: Address): StatusError =>
  new StatusError(
    "PERMISSION_DENIED",
    `${endpoint} lets no key expire, as the replay of an AOF wants it, and the ACL of user ${user} no longer lets us end that: ` +
      "CONFIG SET import-mode no there, and grant +config|set",
  );

/** How far the replay has come; `undefined`: there is no mark. */
export async function replayMark(
  address: Address,
  operation: string,
  signal: AbortSignal,
): Promise<ReplayMark | undefined> {
  const text = await withClient(address, signal, (ask) => ask("GET", markKey(operation)));
  return typeof text === "string" ? parseMark(text, address) : undefined;
}

/** A short string, or `undefined`. */
async function readBulk(link: Link, key: string): Promise<string | undefined> {
  const length = await link.ask("GET", key);
  return length.startsWith("$-") ? undefined : await link.readLine(replyMs);
}
