import type { Instance } from "../../shared/backup/backup.ts";
import { later } from "../../shared/backup/duration.ts";
import type { EventMap } from "../../shared/backup/event.ts";
import { instanceName, isUndoList, undoPrefix } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { isSameState, type KeyState, undoLife } from "../../shared/backup/selection.ts";
import type { UndoEntry, UndoList } from "../../shared/backup/undo-list.ts";
import { StatusError } from "../../shared/error.ts";
import { idOf } from "../../shared/pipeline/change.ts";
import type { Exchange, ExchangeOptions, KeyRecord, ObjectInfo, Objects, Ports } from "../../shared/pipeline/ports.ts";
import { step, type Work } from "../../shared/pipeline/step.ts";
import { assertFree, takeTarget } from "../../shared/pipeline/take-target.ts";
import type { RdbRecord } from "../../shared/rdb/entry.ts";
import { records } from "../../shared/rdb/records.ts";
import { type LiveTarget, liveTarget } from "./target.ts";
import { readList, resultOf } from "./undo-file.ts";

/** How long one message goes on, in milliseconds, and how many bytes of values it holds. */
const roundTime = 180_000;
const heldBytes = 8 * 2 ** 20;

/** What came of the keys; in a dry run what would. */
interface Undone {
  /** Keys that were replaced and are as before. */
  restored: number;
  /** Keys that were created and are gone. */
  deleted: number;
  /** Nothing had to be done. */
  already: number;
  /** Somebody has changed them since: they stay as they are. */
  changed: number;
}

const nothing: Undone = { restored: 0, deleted: 0, already: 0, changed: 0 };

interface Round {
  undone: Undone;
  /** The group after which the next round goes on. */
  last?: string;
}

/** Takes back what a restore of single keys has done, its groups in the opposite order. */
export const undo = step<"undo.v1.requested", Round>({
  on: "undo.v1.requested",

  async admit({ data: { restore, execute = false } }, change) {
    const asked = undoable(await change.read<Operation>(restore), restore, change.now);
    const { instance } = asked.request.data as EventMap["selection.v1.requested"];
    const found = await change.read<Instance>(instanceName(instance));
    const { uid, endpoint } = asked.selection?.target ?? {};
    if (found === undefined || found.uid !== uid || found.endpoint !== endpoint)
      throw new StatusError(
        "FAILED_PRECONDITION",
        `${instanceName(instance)} is no longer what ${restore} wrote into: an undo goes nowhere else`,
      );
    if (execute) await takeTarget(change, instance);
    else await assertFree(change, found);
  },

  async run(work, ports, signal) {
    const { restore, maxKeysPerSecond, after } = work.data;
    const asked = (await ports.store.get<Operation>(restore))?.data;
    const { instance } = asked?.request.data as EventMap["selection.v1.requested"];
    const found = (await ports.store.get<Instance>(instanceName(instance)))?.data;
    const database = asked?.selection?.database;
    if (found === undefined || database === undefined) throw new StatusError("NOT_FOUND", `${restore} is gone`);
    const target = liveTarget(found, database, maxKeysPerSecond, ports, signal);
    const lists = await listsOf(restore, ports);
    const left = after === undefined ? lists : lists.filter((list) => groupOf(list) < after.group);
    const started = ports.clock.monotonic();
    let undone = nothing;
    for (const [at, list] of left.toReversed().entries()) {
      signal.throwIfAborted();
      undone = plus(
        undone,
        await undoGroup(await writtenBy(list, ports.objects), database, target, work, ports, signal),
      );
      const isLast = at === left.length - 1;
      if (!isLast && ports.clock.monotonic() - started > roundTime) return { undone, last: groupOf(list) };
    }
    return { undone };
  },

  async commit({ data }, { undone, last }, change) {
    const { restored = 0, deleted = 0, already = 0, changed = 0 } = change.operation.response ?? {};
    const before = { restored, deleted, already, changed } as Undone;
    const response = { restore: data.restore, ...plus(before, undone) };
    if (last === undefined) return await change.end({ response });
    change.operation.response = response;
    const round = (data.after?.round ?? 0) + 1;
    change.ask("undo.v1.requested", { ...data, after: { round, group: last } }, round);
  },
});

/** The restore, if it is one that can be undone now. */
function undoable(found: Operation | undefined, name: string, now: string): Operation {
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
  const refuse = (why: string) => new StatusError("FAILED_PRECONDITION", `${name} cannot be undone: ${why}`);
  if (found.request.type !== "selection.v1.requested" || found.selection === undefined)
    throw refuse("only a restore of single keys into a live instance can");
  const { execute } = found.request.data as EventMap["selection.v1.requested"];
  if (execute !== true) throw refuse("it was a dry run and has written nothing");
  if (!found.done || found.endTime === undefined) throw refuse("it still goes on; wait for it or cancel it");
  const until = later(found.endTime, undoLife);
  if (until <= now) throw refuse(`that was possible until ${until}`);
  return found;
}

async function listsOf(restore: string, { objects, settings }: Ports): Promise<ObjectInfo[]> {
  const lists: ObjectInfo[] = [];
  for await (const found of objects.list(settings.vaultBucket, undoPrefix(restore)))
    if (isUndoList(found.object) && found.metadata.operation === restore) lists.push(found);
  return lists;
}

/** A group as it was written: of one that was not written to its end it is only known how it was to be. */
async function writtenBy(found: ObjectInfo, objects: Objects): Promise<UndoList> {
  const list = await readList(found, objects);
  const result = await resultOf({ bucket: found.bucket, list: found.object }, objects);
  if (result === undefined) return list;
  const entries = list.entries.map((entry, at) => ({ ...entry, new: result.written[at] ?? entry.new }));
  return { ...list, entries };
}

const groupOf = ({ object }: ObjectInfo): string => idOf(object).replace(/\.json$/, "");

async function undoGroup(
  list: UndoList,
  database: number,
  target: LiveTarget,
  work: Work<"undo.v1.requested">,
  ports: Ports,
  signal: AbortSignal,
): Promise<Undone> {
  if (work.data.execute !== true) return await foreseen(list, target, ports.clock.now(), work.data.force ?? false);
  const operation = work.operation.slice("operations/".length);
  const attempt = { operation, part: 0, epoch: work.epoch, confirm: () => work.renew(), now: () => ports.clock.now() };
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

/** What an undo would come to now. */
async function foreseen({ entries }: UndoList, target: LiveTarget, now: number, force: boolean): Promise<Undone> {
  const undone = { ...nothing };
  const states = await target.states(entries.map(({ key }) => key));
  for (const [at, entry] of entries.entries()) {
    const there = states[at];
    const old = isOver(entry.old, now) ? undefined : entry.old;
    const isOurs = isSameState(there, entry.new) || (there === undefined && isOver(entry.new, now));
    if (isSameState(there, old)) undone.already++;
    else if (isOurs || force) undone[old === undefined ? "deleted" : "restored"]++;
    else undone.changed++;
  }
  return undone;
}

const isOver = (state: KeyState | undefined, now: number): boolean =>
  state !== undefined && state.expireTimeMs !== -1 && state.expireTimeMs <= now;

/** The changes that take a group back, so many at once as can be held. */
async function* exchangesOf(
  { entries, rdb }: UndoList,
  force: boolean,
  ports: Ports,
  signal: AbortSignal,
): AsyncGenerator<Exchange[]> {
  const now = ports.clock.now();
  const from = (entry: UndoEntry) => (force ? ("ANY" as const) : entry.new);
  const gone = entries.filter(({ old }) => old === undefined || isOver(old, now));
  if (gone.length > 0) yield gone.map((entry) => ({ key: entry.key, from: from(entry), to: undefined }));
  if (rdb === undefined) return;
  const stays = new Map(entries.filter((entry) => !gone.includes(entry)).map((entry) => [hex(entry.key), entry]));
  let some: Exchange[] = [];
  let bytes = 0;
  const file = { bucket: ports.settings.vaultBucket, object: rdb.object, generation: rdb.generation };
  for await (const batch of records(ports.objects.read(file, {}, signal)))
    for (const record of batch) {
      const entry = record.kind === "record" ? stays.get(hex(record.key)) : undefined;
      if (record.kind !== "record" || entry?.old === undefined) continue;
      const held = record.value && Uint8Array.from(record.value);
      const read = (range: { start: number; end: number }, reading: AbortSignal) =>
        ports.objects.read(file, range, reading);
      some.push({ key: entry.key, from: from(entry), to: recordOf(record, held, rdb.magic, entry.old, read) });
      bytes += held?.length ?? 0;
      if (bytes < heldBytes) continue;
      yield some;
      some = [];
      bytes = 0;
    }
  if (some.length > 0) yield some;
}

function recordOf(
  { type, valueStart: start, valueEnd: end }: RdbRecord,
  held: Uint8Array | undefined,
  magic: KeyRecord["magic"],
  state: KeyState,
  read: (range: { start: number; end: number }, signal: AbortSignal) => AsyncIterable<Uint8Array>,
): KeyRecord {
  const value = (signal: AbortSignal) => (held === undefined ? read({ start, end }, signal) : [held]);
  return { magic, type, state, valueBytes: end - start, value };
}

const plus = (one: Undone, other: Undone): Undone => ({
  restored: one.restored + other.restored,
  deleted: one.deleted + other.deleted,
  already: one.already + other.already,
  changed: one.changed + other.changed,
});

const hex = (key: Uint8Array): string => Buffer.from(key).toString("hex");
