import { undoListObject, undoResultObject } from "../../shared/backup/name.ts";
import {
  decideKey,
  hexOf,
  type Merged,
  nothingMerged,
  plus,
  type SelectionMark,
} from "../../shared/backup/selection.ts";
import { dumpFormat } from "../../shared/backup/target.ts";
import { type UndoList, type UndoResult, undoResultBytes } from "../../shared/backup/undo-list.ts";
import { asStatusError, StatusError } from "../../shared/error.ts";
import type { KeyRecord, Objects, Ports } from "../../shared/pipeline/ports.ts";
import { step, type Work } from "../../shared/pipeline/step.ts";
import { once } from "../../shared/pipeline/stream.ts";
import type { Format } from "../../shared/rdb/header.ts";
import { type Group, wantedOf } from "./matches.ts";
import { type Course, courseOf, eachGroup, isAtEnd } from "./progress.ts";
import { epochOf } from "./target.ts";
import { existingList, type Intent, resultOf, type UndoPlace, writeList } from "./undo-file.ts";

/** What one round came to. */
interface Round {
  merged: Merged;
  mark: SelectionMark;
}

/** All that writing a group needs. */
interface Writing extends Course {
  work: Work<"merge.v1.requested">;
  format: Format;
  ports: Ports;
  signal: AbortSignal;
}

/**
 * Writes the matching keys group by group: what a group replaces, and what it creates, lies in the vault before the first of its keys
 * is written, and what came of it once all are. So the time in which a live writer could come between is that of one group.
 */
export const merge = step<"merge.v1.requested", Round>({
  on: "merge.v1.requested",

  async run(work, ports, signal) {
    const course = await courseOf(work, ports, signal);
    const format = dumpFormat(await ports.valkey.describe(course.instance, signal));
    let { merged } = course.selection;
    const mark = await eachGroup(course, work, ports, signal, async (group) => {
      merged = plus(merged, await mergeGroup(group, { ...course, work, format, ports, signal }));
    });
    return { merged, mark };
  },

  async commit({ data: { instance, round } }, { merged, mark }, change) {
    const { selection } = change.operation;
    if (selection === undefined) throw new StatusError("ABORTED", `${change.operation.name} has no selection`);
    change.operation.selection = { ...selection, merged, mark };
    if (!isAtEnd(selection, mark)) return change.ask("merge.v1.requested", { instance, round: round + 1 }, round + 1);
    change.say("instance.v1.restored", { instance, source: selection.source });
    await change.end({ response: { instance, matched: selection.found.matched, ...merged } });
  },
});

async function mergeGroup(group: Group, writing: Writing): Promise<Merged> {
  const { request, work, ports } = writing;
  const [first] = group.matches;
  if (first === undefined) return nothingMerged;
  const list = undoListObject(work.operation, first.file, first.record.offset);
  const place = { bucket: ports.settings.vaultBucket, operation: work.operation, list, epoch: work.epoch };
  const merged = (await resultOf(place, ports.objects))?.merged ?? (await writeGroup(group, place, writing));
  if (request.conflictPolicy === "FAIL" && merged.changed > 0) throw conflict(work);
  return merged;
}

async function writeGroup(group: Group, place: UndoPlace, writing: Writing): Promise<Merged> {
  const { selection, request, work, ports, signal } = writing;
  const { objects, clock } = ports;
  const wanted: { key: Uint8Array; record: KeyRecord }[] = [];
  for (const match of group.matches) {
    const times = { request: Date.parse(work.createTime), now: clock.now() };
    const record = await wantedOf(match, selection, request.expiryPolicy ?? "KEEP", times, objects, signal);
    if (record !== undefined) wanted.push({ key: match.record.key, record });
  }
  const expired = group.matches.length - wanted.length;
  const earlier = await existingList(place, objects);
  const undo = earlier ?? (await prepare(group, wanted, place, writing));
  if (undo.end.offset !== group.mark.offset || undo.end.file !== group.mark.file)
    throw new StatusError(
      "INTERNAL",
      `gs://${place.bucket}/${place.list} tells of another group of keys; ${undoAdvice(work)}, and ask for them again`,
    );
  const { written, ...counts } = await write(undo, wanted, earlier !== undefined, writing);
  const merged = { ...counts, expired, skipped: undo.skipped, identical: undo.identical + counts.identical };
  if (undo.entries.length > 0) await keepResult({ merged, written }, place, objects, signal);
  return merged;
}

/** Decides each key by what the target has now, and puts down in the vault what will be written. */
async function prepare(
  { mark }: Group,
  wanted: readonly { key: Uint8Array; record: KeyRecord }[],
  place: UndoPlace,
  { request, selection, target, format, work, ports, signal }: Writing,
): Promise<UndoList> {
  const states = await target.states(wanted.map(({ key }) => key));
  const policy = request.conflictPolicy ?? "SKIP";
  const intents: Intent[] = [];
  const counts = { skipped: 0, identical: 0 };
  for (const [at, { key, record }] of wanted.entries()) {
    const decision = decideKey(policy, states[at], record.state);
    if (decision === "REFUSE") throw conflict(work);
    if (decision === "SKIP") counts.skipped++;
    else if (decision === "IDENTICAL") counts.identical++;
    else intents.push({ key, isReplaced: decision === "REPLACE", new: record.state });
  }
  if (intents.length === 0) return { end: mark, ...counts, entries: [] };
  await work.renew();
  const files = { format, database: selection.database, objects: ports.objects };
  return await writeList(place, { end: mark, ...counts }, intents, target, files, signal);
}

/** `isAgain`: an earlier attempt may have written some of it already. */
async function write(
  { entries }: UndoList,
  wanted: readonly { key: Uint8Array; record: KeyRecord }[],
  isAgain: boolean,
  { selection, target, work, ports }: Writing,
): Promise<Pick<Merged, "created" | "replaced" | "changed" | "identical"> & Pick<UndoResult, "written">> {
  const counts = { created: 0, replaced: 0, changed: 0, identical: 0 };
  const records = new Map(wanted.map(({ key, record }) => [hexOf(key), record]));
  const exchanges = entries.map(({ key, old, new: wanted }) => {
    return { key, from: old, to: records.get(hexOf(key)), new: wanted };
  });
  // One whose time has come since the list was written is not restored; an earlier attempt may have done so in time.
  const due = exchanges.filter(({ to }) => to !== undefined);
  const operation = work.operation.slice("operations/".length);
  const epoch = epochOf(work.data.round, work.epoch);
  const attempt = { operation, part: 0, epoch, confirm: () => work.renew(), now: () => ports.clock.now() };
  const results = due.length === 0 ? [] : await target.exchange(due, { ...attempt, database: selection.database });
  const written = exchanges.map((one) => {
    const result = one.to === undefined ? undefined : results.shift();
    if (result === undefined) return one.new;
    if (result.outcome === "ALREADY" && !isAgain) {
      counts.identical++; // somebody else wrote the same first: it is not ours to take back
      return null;
    }
    counts[result.outcome === "CHANGED" ? "changed" : one.from === undefined ? "created" : "replaced"]++;
    // What an earlier attempt wrote, and the server laid down in another way, is not known again: it may be ours.
    if (result.outcome === "CHANGED") return isAgain ? one.new : null;
    return result.state ?? one.new;
  });
  return { ...counts, written };
}

const conflict = (work: Writing["work"]): StatusError =>
  new StatusError(
    "FAILED_PRECONDITION",
    `${work.data.instance} has got a key of the selection since it was looked at; ${undoAdvice(work)}`,
  );

const undoAdvice = ({ operation }: Writing["work"]): string =>
  `valkeep restores undo ${operation.slice("operations/".length)} takes back what was written`;

/** From here on the group is never written again. Of two attempts that come here at once the first one's result holds. */
async function keepResult(
  result: UndoResult,
  { bucket, list, operation }: UndoPlace,
  objects: Objects,
  signal: AbortSignal,
): Promise<void> {
  const source = once(undoResultBytes(result));
  await objects.create(bucket, undoResultObject(list), source, { operation }, signal).catch((error) => {
    if (asStatusError(error).code !== "ABORTED") throw error;
  });
}
