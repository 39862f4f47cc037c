import { isDeepStrictEqual } from "node:util";
import type { Backup, BackupCollection } from "../shared/backup/backup.ts";
import { later, timeOf } from "../shared/backup/duration.ts";
import type { Operation } from "../shared/backup/operation.ts";
import { createCalendar, createCalendars } from "../shared/backup/period.ts";
import type { Decision } from "../shared/backup/retention.ts";
import { reviewedFrom, toReview } from "../shared/backup/review.ts";
import { collectionOf, type Due, dueAt, type Holder, type Review, review } from "../shared/pipeline/catalogue.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { isGoingOn } from "../shared/pipeline/held.ts";
import type { Ports, Store } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";
import { retireExpired } from "./retire.ts";

/** How long Operations are kept after their end, in seconds. */
const operationLife = 90 * 86_400;

/** How many Operations one query finds to be forgotten, and how many of their Tasks one commit removes, at most. */
const forgotten = 200;

/** For how long a sweep goes on to forget, in milliseconds: a fleet of 10,000 leaves a thousand and more Operations an hour. */
const forgetTime = 120_000;

/** How long a sweep goes on, in seconds; what is due beyond that is left to the next one, well before its deadline of an hour. */
const patience = 45 * 60;

/**
 * How many of what is due one round reads, and after how many requests and moves it takes no further collection: with what one
 * collection can add (see `capped`), three writes a request and two a move, a commit stays below 500.
 */
const page = 40;
const enough = 30;

/** One round: what was decided, and after what the next one goes on, if there is one. */
interface Round {
  outcomes: Outcome[];
  next: Due | undefined;
  /** There is more, but this sweep has gone on for long enough. */
  isLate: boolean;
}

/** What comes of one collection. */
interface Outcome extends Holder {
  wanted: Decision[];
  deferred: number;
  /** Backups that are to be looked at from another time on, with the one that they were found with. */
  moves: { name: string; from: string | undefined; to: string | undefined }[];
  /** There are more of them than one commit takes: the collection stays due, as none of those may be. */
  hasMore: boolean;
  keepsExpired: boolean;
}

/**
 * Finds what was due when the sweep began, decides each collection that has some of it, once, and asks for deletions and for
 * the erasure of tombstones whose grace is over. What a rule keeps beyond its expiry is not found again before something
 * happens that can change that. Many rounds, each a Task of its own, where much is due.
 */
export const sweep = step<"sweep.v1.requested", Round>({
  on: "sweep.v1.requested",

  async run({ data, operation, createTime }, ports, signal) {
    if (data.after === undefined) {
      await forgetOperations(ports, signal);
      await retireExpired(operation, ports, signal);
    }
    const { store, clock } = ports;
    const here = timeOf(clock.now());
    // Who asked may have another clock: one that is ahead must not let anything expire early.
    const now = createTime < here ? createTime : here;
    const due = await dueAt(store, now, page, data.after);
    const calendars = createCalendars();
    const turn = Number.parseInt(operation.slice(-8), 16);
    const outcomes: Outcome[] = [];
    const seen = new Set<string>();
    let last: Due | undefined;
    for (const one of due) {
      signal.throwIfAborted();
      const collection = collectionOf(one);
      if (!seen.has(collection)) {
        if (sizeOf(outcomes) >= enough) break;
        seen.add(collection);
        const holder = (await store.get<BackupCollection>(collection))?.data;
        const isFree = !(await isSwept(holder?.sweeping, operation, ports));
        const options = { now, turn, calendars };
        if (isFree) outcomes.push(outcomeOf(await review(store, { collection, holder }, options, signal), now));
      }
      last = one;
    }
    const isAll = due.length < page && last === due.at(-1);
    const isLate = timeOf(clock.now()) > later(createTime, patience);
    return { outcomes, next: isAll ? undefined : last, isLate };
  },

  async commit({ data, operation }, { outcomes, next, isLate }, change) {
    const before = change.operation.response ?? {};
    const total = { expired: 0, erased: 0, deferred: 0 };
    for (const outcome of outcomes) {
      // Whatever came into the catalogue meanwhile changed this document too: the next sweep decides with it.
      if (!isDeepStrictEqual(await change.read<BackupCollection>(outcome.collection), outcome.holder)) continue;
      await settle(outcome, change);
      for (const { backup, action } of outcome.wanted) {
        const identity = `${operation} ${backup}`;
        if (action === "EXPIRE") await change.request("deletion.v1.requested", { backup, sweep: operation }, identity);
        else await change.request("erasure.v1.requested", { backup }, identity);
        total[action === "EXPIRE" ? "expired" : "erased"]++;
      }
      total.deferred += outcome.deferred;
    }
    // Once a week: it looks at every object of the vault.
    await change.request("orphans.v1.requested", {}, createCalendar("Etc/UTC")(change.now, "week"));
    const sum = (field: keyof typeof total): number => Number(before[field] ?? 0) + total[field];
    const response = { expired: sum("expired"), erased: sum("erased"), deferred: sum("deferred") };
    if (next === undefined) return await change.end({ response });
    if (isLate) return await change.end({ response: { ...response, left: "more is due; the next sweep goes on" } });
    const round = (data.after?.round ?? 0) + 1;
    change.operation.response = response;
    change.ask("sweep.v1.requested", { ...data, after: { ...next, round } }, round);
  },
});

const sizeOf = (outcomes: readonly Outcome[]): number =>
  outcomes.reduce((sum, { wanted, moves }) => sum + wanted.length + moves.length, 0);

/** Whether this sweep, or another one that is still going on, has decided the collection already: the cap holds for both. */
async function isSwept(by: string | undefined, operation: string, { store }: Ports): Promise<boolean> {
  return by !== undefined && (by === operation || (await isGoingOn(by, store)));
}

function outcomeOf({ collection, holder, entries, decisions }: Review, now: string): Outcome {
  const moves = entries.flatMap(({ name, reviewTime: from }, at) => {
    const to = decisions[at]?.reviewTime;
    // Without a document of its collection nothing could bring a backup back into review.
    return from === to || (holder === undefined && to === undefined) ? [] : [{ name, from, to }];
  });
  return {
    ...{ collection, holder, moves: moves.slice(0, enough), hasMore: moves.length > enough },
    wanted: decisions.filter(({ action }) => action === "EXPIRE" || action === "ERASE"),
    deferred: decisions.filter(({ action }) => action === "DEFERRED").length,
    keepsExpired: entries.some(
      ({ state, hold, expireTime }, at) =>
        state === "ACTIVE" && hold === undefined && expireTime <= now && decisions[at]?.reviewTime === undefined,
    ),
  };
}

/** Marks the collection as decided, and each backup with when it is looked at next. */
async function settle({ collection, holder, moves, hasMore, keepsExpired }: Outcome, change: Change): Promise<void> {
  if (holder !== undefined) {
    const { reviewTime: _, keepsExpired: _before, overruleTime: _since, ...rest } = holder;
    const decided = { ...rest, sweeping: change.operation.name, ...(keepsExpired && { keepsExpired }) };
    change.put(collection, hasMore ? toReview(decided, change.now) : decided);
  }
  for (const { name, from, to } of moves) {
    const found = await change.read<Backup>(name);
    if (found !== undefined && found.reviewTime === from) change.put(name, reviewedFrom(found, to));
  }
}

async function forgetOperations({ store, clock }: Ports, signal: AbortSignal): Promise<void> {
  const before = later(timeOf(clock.now()), -operationLife);
  const started = clock.monotonic();
  for (let isLast = false; !isLast; ) {
    const old = await store.query<Operation>({
      collection: "operations",
      where: [["endTime", "<=", before]],
      orderBy: { field: "endTime", direction: "asc" },
      limit: forgotten,
    });
    for (const { path } of old) await forget(path, store, signal);
    isLast = old.length < forgotten || clock.monotonic() - started > forgetTime;
  }
}

/** Removes an Operation after its Tasks: a walk through a large vault has one for each of its pages. */
async function forget(operation: string, store: Store, signal: AbortSignal): Promise<void> {
  for (let isLast = false; !isLast; ) {
    signal.throwIfAborted();
    const tasks = await store.query({ collection: `${operation}/tasks`, limit: forgotten });
    isLast = tasks.length < forgotten;
    const paths = [...tasks.map(({ path }) => path), ...(isLast ? [operation] : [])];
    await store.commit(paths.map((path) => ({ kind: "remove", path })));
  }
}
