import type { Instance } from "../../../shared/backup/backup.ts";
import { StatusError } from "../../../shared/error.ts";
import { addressOf, type ResolveSecret } from "../../../shared/valkey/address.ts";
import { withClient } from "../../../shared/valkey/connect.ts";

/** What a restore sends, with arguments that are never executed. */
const restoreCommands = [
  ["RESTORE", "valkeep", "0", "x"],
  ["SELECT", "1"],
  ["FUNCTION", "LOAD", "x"],
  ["CLIENT", "SETNAME", "x"],
  ["CLIENT", "LIST"],
  ["CLIENT", "KILL", "ID", "1"],
];

/**
 * Of the commands that a restore needs, those that the ACL denies the instance's user, asked by `ACL DRYRUN`, which executes
 * nothing. `undefined`: the server does not let us ask, or is older than 7.0.
 */
export async function deniedToRestore(
  instance: Instance,
  resolveSecret: ResolveSecret,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const address = await addressOf(instance, resolveSecret);
  return await withClient(address, signal, async (ask) => {
    const denied: string[] = [];
    for (const words of restoreCommands) {
      const answer = await allowedAnswer(ask("ACL", "DRYRUN", address.user, ...words));
      if (answer === undefined) return undefined;
      if (answer !== "OK") denied.push(nameOf(words));
    }
    return denied;
  });
}

/** As an ACL writes it: `client|setname`. */
function nameOf([command = "", subcommand = ""]: string[]): string {
  const isContainer = command === "CLIENT" || command === "FUNCTION";
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
