import type { Instance } from "../../../shared/backup/backup.ts";
import { StatusError } from "../../../shared/error.ts";
import { addressOf, type ResolveSecret } from "../../../shared/valkey/address.ts";
import { type Ask, withClient } from "../../../shared/valkey/connect.ts";

/** Commands that the ACL denies, as it writes them: `client|setname`. */
export interface Denied {
  /** Without them a restore fails. */
  needed: string[];
  /** Without them its preflight cannot tell all. */
  useful: string[];
}

/** What a restore sends, with arguments that are never executed. */
const neededCommands = [
  ["RESTORE", "valkeep", "0", "x"],
  ["SELECT", "1"],
  ["FUNCTION", "LOAD", "x"],
  ["CLIENT", "SETNAME", "x"],
  ["CLIENT", "LIST"],
  ["CLIENT", "KILL", "ID", "1"],
];

/** What its preflight asks besides. */
const usefulCommands = [
  ["CONFIG", "GET", "databases"],
  ["FUNCTION", "LIST"],
];

/**
 * Of the commands that a restore sends, those that the ACL denies the instance's user, asked by `ACL DRYRUN`, which executes
 * nothing. `undefined`: the server does not let us ask, or is older than 7.0.
 */
export async function deniedToRestore(
  instance: Instance,
  resolveSecret: ResolveSecret,
  signal: AbortSignal,
): Promise<Denied | undefined> {
  const address = await addressOf(instance, resolveSecret);
  return await withClient(address, signal, async (ask) => {
    const needed = await deniedOf(ask, address.user, neededCommands);
    const useful = await deniedOf(ask, address.user, usefulCommands);
    return needed === undefined || useful === undefined ? undefined : { needed, useful };
  });
}

/** Of these commands, those that the ACL denies this user, as it writes them; `undefined`: it does not let us ask. */
export async function deniedOf(
  ask: Ask,
  user: string,
  commands: readonly (readonly string[])[],
): Promise<string[] | undefined> {
  const denied: string[] = [];
  for (const words of commands) {
    const answer = await allowedAnswer(ask("ACL", "DRYRUN", user, ...words));
    if (answer === undefined) return undefined;
    if (answer !== "OK") denied.push(nameOf(words));
  }
  return denied;
}

function nameOf([command = "", subcommand = ""]: readonly string[]): string {
  const isContainer = ["CLIENT", "CONFIG", "FUNCTION"].includes(command);
  return (isContainer ? `${command}|${subcommand}` : command).toLowerCase();
}

async function allowedAnswer(answer: Promise<unknown>): Promise<string | undefined> {
  try {
    return String(await answer);
  } catch (error) {
    if (error instanceof StatusError && (error.code === "PERMISSION_DENIED" || error.code === "UNKNOWN"))
      return undefined;
    throw error;
  }
}
