import type { RdbFacts } from "./backup.ts";
import { type Finding, fail, pass, warn } from "./check.ts";
import type { ReplayFile } from "./operation.ts";
import { defaultMaxBulkBytes, type Target } from "./target.ts";

/** Whether the target takes the commands of an AOF, and what of it will not be there. `isStrict`: that refuses. */
export function checkReplay(
  files: readonly RdbFacts[],
  logs: readonly ReplayFile[],
  isStrict: boolean,
  target: Target,
): Finding {
  if (logs.length === 0) return pass("there are no commands of an AOF to replay");
  const commands = commandsOf(logs);
  if (files.length === 0 && commands === 0) return fail("the AOF holds no whole command");
  const held = `${commands} commands are replayed`;
  const refusal = refusalOf(logs, commands, target);
  if (refusal !== undefined) return fail(refusal);
  const remarks = [...tornTails(logs), ...lostKeys(files, logs, target)];
  if (remarks.length === 0) return pass(held);
  const found = [held, ...remarks].join("; ");
  return isStrict ? fail(`${found}: --strict refuses that`) : warn(found);
}

const commandsOf = (logs: readonly ReplayFile[]): number => logs.reduce((sum, log) => sum + log.commands, 0);

/** Why the commands cannot go there. */
function refusalOf(logs: readonly ReplayFile[], commands: number, target: Target): string | undefined {
  for (const { refused, ...log } of logs)
    if (refused !== undefined)
      return `${uriOf(log)} holds ${refused.name} at byte ${refused.offset}, which no restore sends: cut it out, or let a server load the file`;
  if (target.mode === "CLUSTER" && commands > 0)
    return `${commands} commands would be replayed in transactions, which cannot span the slots of a cluster: restore into a server without cluster mode`;
  const highest = Math.max(0, ...logs.flatMap(({ databases }) => databases));
  const { databaseCount, maxBulkBytes = defaultMaxBulkBytes } = target;
  if (databaseCount !== undefined && highest >= databaseCount)
    return `the commands use database ${highest}, the target has ${databaseCount}: set \`databases\` to at least ${highest + 1} there`;
  const largest = Math.max(0, ...logs.map(({ largestArgumentBytes }) => largestArgumentBytes));
  if (largest > maxBulkBytes)
    return `the largest argument has ${largest} bytes, the target takes ${maxBulkBytes} (proto-max-bulk-len)`;
  return undefined;
}

/** Bytes behind the last whole command: the server that wrote them had not come to their end. */
export function tornTails(logs: readonly ReplayFile[]): string[] {
  return logs
    .filter(({ sizeBytes, endOffset }) => sizeBytes > endOffset)
    .map(
      (log) =>
        `${log.sizeBytes - log.endOffset} bytes of ${uriOf(log)}, from byte ${log.endOffset} on, are no whole command and are left out`,
    );
}

/**
 * Between the writing of an AOF and its replay the times in it pass. A server that cannot suspend expiry removes a key at once
 * that a later command would have kept.
 */
function lostKeys(files: readonly RdbFacts[], logs: readonly ReplayFile[], target: Target): string[] {
  const expires = [...files, ...logs].some((file) => file.expires > 0);
  if (!expires || commandsOf(logs) === 0 || target.suspendsExpiry) return [];
  const found = `${target.product} ${target.version} cannot suspend expiry (Valkey 8.1 can, if CONFIG is allowed)`;
  return [`${found}: a key whose time has passed when its command comes is gone, even if a later command kept it`];
}

const uriOf = ({ bucket, object }: Pick<ReplayFile, "bucket" | "object">): string => `gs://${bucket}/${object}`;
