import type { Instance } from "../../shared/backup/backup.ts";
import { type Check, refusalOf } from "../../shared/backup/check.ts";
import type { EventMap } from "../../shared/backup/event.ts";
import { selectionPreflight } from "../../shared/backup/preflight.ts";
import { decideKey, type Found, firstMark, type Selection, type SelectionMark } from "../../shared/backup/selection.ts";
import { dumpFormat } from "../../shared/backup/target.ts";
import { StatusError } from "../../shared/error.ts";
import type { Change } from "../../shared/pipeline/change.ts";
import type { KeyRecord, Ports } from "../../shared/pipeline/ports.ts";
import { step, type Work } from "../../shared/pipeline/step.ts";
import { supportedVersions } from "../../shared/rdb/family.ts";
import type { Format } from "../../shared/rdb/header.ts";
import { valueTypes } from "../../shared/rdb/types.ts";
import { type Group, type Match, wantedOf } from "./matches.ts";
import { type Course, courseOf, eachGroup, isAtEnd } from "./progress.ts";

/** What one round came to; `checks` once all was read. */
interface Round {
  found: Found;
  mark: SelectionMark;
  checks?: Check[];
}

/** Compares the matching keys with those of the instance: what a dry run tells, and what must hold before anything is written. */
export const matching = step<"matching.v1.requested", Round>({
  on: "matching.v1.requested",

  async run(work, ports, signal) {
    const course = await courseOf(work, ports, signal);
    const { selection, instance } = course;
    let { found } = selection;
    const mark = await eachGroup(course, work, ports, signal, async (group) => {
      found = await compared(found, group, course, work, ports, signal);
    });
    if (!isAtEnd(selection, mark)) return { found, mark };
    const checks = await checksOf(instance, selection, found, ports, signal);
    ports.log("INFO", "matched", { instance: instance.name, matched: found.matched });
    return { found, mark, checks };
  },

  async commit({ data: { instance, round } }, { found, mark, checks }, change) {
    const { selection } = change.operation;
    if (selection === undefined) throw new StatusError("ABORTED", `${change.operation.name} has no selection`);
    change.operation.selection = { ...selection, found, mark };
    if (checks === undefined) return change.ask("matching.v1.requested", { instance, round: round + 1 }, round + 1);
    change.operation.checks = checks;
    await conclude(change, instance, found);
  },
});

/** Ends what is refused, and a dry run; else the keys are written. */
async function conclude(change: Change, instance: string, found: Found): Promise<void> {
  const { operation } = change;
  const { conflictPolicy, execute } = operation.request.data as EventMap["selection.v1.requested"];
  const existing = found.identical + found.different;
  const { matched, expired, identical, different } = found;
  const response = { instance, matched, expired, existing, identical, different };
  const conflict =
    conflictPolicy === "FAIL" && existing > 0
      ? `it has ${existing} of the matching keys already; --on-conflict=skip leaves them, replace replaces them`
      : undefined;
  const refusal = refusalOf(operation.checks ?? []) ?? conflict;
  if (refusal !== undefined) {
    const message = `${instance} cannot take these keys: ${refusal}`;
    return await change.end({ response, error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
  }
  if (execute !== true) return await change.end({ response });
  if (operation.selection !== undefined) operation.selection.mark = firstMark;
  change.ask("merge.v1.requested", { instance, round: 0 }, 0);
}

async function compared(
  before: Found,
  { matches }: Group,
  { selection, request, target }: Course,
  { createTime }: Pick<Work<"matching.v1.requested">, "createTime">,
  { objects, clock }: Ports,
  signal: AbortSignal,
): Promise<Found> {
  const { conflictPolicy = "SKIP", expiryPolicy = "KEEP" } = request;
  const found = { ...before };
  const alive: { match: Match; wanted: KeyRecord }[] = [];
  for (const match of matches) {
    const times = { request: Date.parse(createTime), now: clock.now() };
    const wanted = await wantedOf(match, selection, expiryPolicy, times, objects, signal);
    found.matched++;
    if (wanted === undefined) found.expired++;
    else alive.push({ match, wanted });
  }
  const states = await target.states(alive.map(({ match }) => match.record.key));
  for (const [at, { wanted }] of alive.entries()) {
    const there = states[at];
    const decision = decideKey(conflictPolicy, there, wanted.state);
    if (decideKey("REPLACE", there, wanted.state) === "IDENTICAL") found.identical++;
    else if (there !== undefined) found.different++;
    if (decision === "CREATE" || decision === "REPLACE") found.sizeBytes += wanted.valueBytes;
    const { minimumRdbVersion = 1, name = "string" } = valueTypes[wanted.magic][wanted.type] ?? {};
    found.minimumRdbVersion = Math.max(found.minimumRdbVersion, minimumRdbVersion);
    found.largestRecordBytes = Math.max(found.largestRecordBytes, 1 + wanted.valueBytes);
    found.hasModules ||= name === "module";
  }
  return found;
}

/** The checks of a restore that concern single keys, over those that match. */
async function checksOf(
  instance: Instance,
  { files, database }: Selection,
  found: Found,
  { valkey }: Ports,
  signal: AbortSignal,
): Promise<Check[]> {
  const target = await valkey.describe(instance, signal);
  requireReadable(instance, dumpFormat(target));
  const magic = files.some((file) => file.magic === "REDIS") ? ("REDIS" as const) : ("VALKEY" as const);
  const { matched, sizeBytes, minimumRdbVersion, largestRecordBytes, hasModules } = found;
  const facts = {
    ...{ sizeBytes, magic, rdbVersion: minimumRdbVersion, minimumRdbVersion, crc64: "ok" as const },
    ...{ keys: matched, expires: matched, functions: 0, largestRecordBytes, slotImports: 0 },
    databases: { [database]: { keys: matched, expires: matched, types: {} } },
    moduleTypes: hasModules ? [...new Set(files.flatMap(({ moduleTypes }) => moduleTypes))] : [],
  };
  return selectionPreflight({ files: [facts], registered: instance, allowShrink: true, target });
}

/** What is replaced is kept as the target dumps it, and has to be read again for an undo. */
function requireReadable({ name }: Instance, { magic, rdbVersion }: Format): void {
  const { highest } = supportedVersions[magic];
  if (rdbVersion <= highest) return;
  const message = `${name} dumps its values in ${magic} RDB version ${rdbVersion}, which is known up to ${highest}`;
  throw new StatusError("UNIMPLEMENTED", `${message}: what is replaced could not be put back`);
}
