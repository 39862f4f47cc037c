import type { Instance } from "../../shared/backup/backup.ts";
import { later } from "../../shared/backup/duration.ts";
import type { EventMap } from "../../shared/backup/event.ts";
import { instanceName, isUndoList, undoPrefix } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { undoLife } from "../../shared/backup/selection.ts";
import type { UndoList, UndoResult } from "../../shared/backup/undo-list.ts";
import { StatusError } from "../../shared/error.ts";
import { idOf } from "../../shared/pipeline/change.ts";
import type { Exchange, ExchangeOptions, ObjectInfo, Ports } from "../../shared/pipeline/ports.ts";
import { step, type Work } from "../../shared/pipeline/step.ts";
import { assertFree, assertServerFree, takeServer, takeTarget } from "../../shared/pipeline/take-target.ts";
import { exchangesOf, foreseen, nothing, plus, type Undone } from "./reversal.ts";
import { epochOf, groupSize, type LiveTarget, liveTarget } from "./target.ts";
import { readList, resultOf } from "./undo-file.ts";

/** How long one message goes on, in milliseconds. */
const roundTime = 180_000;

/** For so many milliseconds after its end a restore that was ended from outside may still begin to write: longer than `confirmedFor`. */
const unsettledFor = 10_000;

interface Round {
  undone: Undone;
  /** The group after which the next round goes on. */
  last?: string;
  /** Only so many entries of that group are through. */
  entries?: number;
}

/** What is taken back between two marks. */
interface Piece {
  list: UndoList;
  /** Up to here. */
  mark: Required<Pick<Round, "last">> & Pick<Round, "entries">;
  isLast: boolean;
}

/** Takes back what a restore of single keys has done, its groups in the opposite order. */
export const undo = step<"undo.v1.requested", Round>({
  on: "undo.v1.requested",

  async admit({ data: { restore, execute = false }, createTime }, change) {
    const { after } = change.operation.request.data as EventMap["undo.v1.requested"];
    if (after !== undefined)
      throw new StatusError("INVALID_ARGUMENT", "an undo is asked for without `after`, or it would leave groups out");
    // By when it was asked for: one that was in time is not left half done.
    const asked = undoable(await change.read<Operation>(restore), restore, createTime);
    const { instance } = asked.request.data as EventMap["selection.v1.requested"];
    const found = await change.read<Instance>(instanceName(instance));
    const target = asked.selection?.target;
    if (target === undefined || found?.uid !== target.uid || found.endpoint !== target.endpoint)
      throw new StatusError(
        "FAILED_PRECONDITION",
        `${instanceName(instance)} is no longer what ${restore} wrote into: an undo goes nowhere else`,
      );
    if (execute) await takeTarget(change, instance);
    else await assertFree(change, found);
    await (execute ? takeServer : assertServerFree)(change, found.name, target);
  },

  async run(work, ports, signal) {
    const { restore, maxKeysPerSecond, after } = work.data;
    const asked = (await ports.store.get<Operation>(restore))?.data;
    const { instance } = asked?.request.data as EventMap["selection.v1.requested"];
    const found = (await ports.store.get<Instance>(instanceName(instance)))?.data;
    const database = asked?.selection?.database;
    if (found === undefined || database === undefined) throw new StatusError("NOT_FOUND", `${restore} is gone`);
    const target = liveTarget(found, database, maxKeysPerSecond, ports, signal);
    await settled(asked, ports, signal);
    const begun: Round | undefined = work.resume === undefined ? undefined : JSON.parse(work.resume);
    const from = begun ?? { last: after?.group, entries: after?.entries };
    const started = ports.clock.monotonic();
    let undone = begun?.undone ?? nothing;
    for await (const { list, mark, isLast } of piecesOf(await listsOf(restore, ports), from, work, ports)) {
      signal.throwIfAborted();
      undone = plus(undone, await undoPiece(list, database, target, work, ports, signal));
      if (!isLast && ports.clock.monotonic() - started > roundTime) return { undone, ...mark };
      await keepCourse(work, { undone, ...mark });
    }
    return { undone };
  },

  async commit({ data }, { undone, last, entries }, change) {
    const { restored = 0, deleted = 0, already = 0, changed = 0 } = change.operation.response ?? {};
    const before = { restored, deleted, already, changed } as Undone;
    const response = { restore: data.restore, ...plus(before, undone) };
    if (last === undefined) return await change.end({ response });
    change.operation.response = response;
    const round = (data.after?.round ?? 0) + 1;
    change.ask(
      "undo.v1.requested",
      { ...data, after: { round, group: last, ...(entries !== undefined && { entries }) } },
      round,
    );
  },
});

/** A later attempt leaves what is through alone: forced, it would take back what somebody has written since. */
async function keepCourse(work: Work<"undo.v1.requested">, course: Round): Promise<void> {
  if (work.data.execute !== true) return;
  work.progress(0, undefined, JSON.stringify(course));
  await work.renew();
}

/** What whoever was at it when it was cancelled has begun is to be found, and will be cut off, from now on. */
async function settled(asked: Operation | undefined, { clock }: Ports, signal: AbortSignal): Promise<void> {
  if (asked?.error === undefined || asked.endTime === undefined) return;
  const wait = Date.parse(asked.endTime) + unsettledFor - clock.now();
  if (wait > 0) await clock.sleep(wait, signal);
}

/** The restore, if it is one that can be undone at this time. */
function undoable(found: Operation | undefined, name: string, time: string): Operation {
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
  const refuse = (why: string) => new StatusError("FAILED_PRECONDITION", `${name} cannot be undone: ${why}`);
  if (found.request.type !== "selection.v1.requested" || found.selection === undefined)
    throw refuse("only a restore of single keys into a live instance can");
  const { execute } = found.request.data as EventMap["selection.v1.requested"];
  if (execute !== true) throw refuse("it was a dry run and has written nothing");
  if (!found.done || found.endTime === undefined) throw refuse("it still goes on; wait for it or cancel it");
  const until = later(found.endTime, undoLife);
  if (until <= time) throw refuse(`that was possible until ${until}`);
  return found;
}

async function listsOf(restore: string, { objects, settings }: Ports): Promise<ObjectInfo[]> {
  const lists: ObjectInfo[] = [];
  for await (const found of objects.list(settings.vaultBucket, undoPrefix(restore)))
    if (isUndoList(found.object) && found.metadata.operation === restore) lists.push(found);
  return lists;
}

/**
 * What is left of the groups, the last one first, in pieces that are done well within a delivery each: a restore may have been
 * allowed more keys a second than its undo.
 */
async function* piecesOf(
  lists: readonly ObjectInfo[],
  from: { last?: string | undefined; entries?: number | undefined },
  { data: { maxKeysPerSecond } }: Work<"undo.v1.requested">,
  { objects }: Ports,
): AsyncGenerator<Piece> {
  const size = groupSize(maxKeysPerSecond);
  for (const found of lists.toReversed()) {
    const last = groupOf(found);
    const isBegun = last === from.last && from.entries !== undefined;
    if (from.last !== undefined && last >= from.last && !isBegun) continue;
    const list = await readList(found, objects);
    const result = await resultOf({ bucket: found.bucket, list: found.object }, objects);
    for (let start = isBegun ? (from.entries ?? 0) : 0; start < list.entries.length; start += size) {
      const end = start + size;
      const isWhole = end >= list.entries.length;
      const mark = isWhole ? { last } : { last, entries: end };
      yield { list: written(list, result, start, end), mark, isLast: isWhole && found === lists[0] };
    }
  }
}

/**
 * Entries of a group as they were written, without the keys that were not. Of one that was not written to its end it is only known
 * how it was to be.
 */
function written(list: UndoList, result: UndoResult | undefined, start: number, end: number): UndoList {
  const entries = list.entries.slice(start, end);
  if (result === undefined) return { ...list, entries };
  const own = entries.flatMap((entry, at) => {
    const state = result.written[start + at] ?? undefined;
    return state === undefined ? [] : [{ ...entry, new: state }];
  });
  return { ...list, entries: own };
}

const groupOf = ({ object }: ObjectInfo): string => idOf(object).replace(/\.json$/, "");

async function undoPiece(
  list: UndoList,
  database: number,
  target: LiveTarget,
  work: Work<"undo.v1.requested">,
  ports: Ports,
  signal: AbortSignal,
): Promise<Undone> {
  if (work.data.execute !== true) return await foreseen(list, target, ports.clock.now(), work.data.force ?? false);
  const operation = work.operation.slice("operations/".length);
  const epoch = epochOf(work.data.after?.round ?? 0, work.epoch);
  const attempt = { operation, part: 0, epoch, confirm: () => work.renew(), now: () => ports.clock.now() };
  let undone = nothing;
  for await (const exchanges of exchangesOf(list, work.data.force ?? false, ports, signal))
    undone = plus(undone, await exchanged(exchanges, { ...attempt, database }, target));
  return undone;
}

async function exchanged(
  exchanges: readonly Exchange[],
  options: ExchangeOptions,
  target: LiveTarget,
): Promise<Undone> {
  const undone = { ...nothing };
  const outcomes = await target.exchange(exchanges, options);
  for (const [at, { outcome }] of outcomes.entries())
    if (outcome === "DONE") undone[exchanges[at]?.to === undefined ? "deleted" : "restored"]++;
    else undone[outcome === "ALREADY" ? "already" : "changed"]++;
  return undone;
}
