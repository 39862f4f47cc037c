import type { Instance } from "../backup/backup.ts";
import type { EventMap } from "../backup/event.ts";
import { operationName, parseInstanceName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import { earlyRun, overdueRun, type Run } from "../backup/run.ts";
import type { Schedule } from "../backup/schedule.ts";
import { operationIdFor, slotIdentity } from "./identity.ts";
import type { Doc, Store } from "./ports.ts";

/** A backup of a schedule that is to be asked for now, since its message did not, or shall not, bring it. */
export interface WantedRun {
  operationId: string;
  data: EventMap["backup.v1.requested"];
  /** Why it is asked for, as its Operation says it. */
  cause: string;
  /** Started before it is due. */
  isEarly: boolean;
}

/** A run that may be wanted, with the ids under which it is known: the first time, and once more. */
export interface Candidate {
  itself: string;
  again: string;
  data: EventMap["backup.v1.requested"];
  slot: string;
  /** Why, if it has not been asked for. */
  cause: string;
  isEarly: boolean;
}

/** Candidates whose Operations are read at once. */
const batch = 50;

/** What a scheduled run of an instance asks for. */
export const scheduledRequest = (instance: string, schedule: Schedule): EventMap["backup.v1.requested"] => ({
  instance,
  backupType: "AUTOMATED",
  schedule,
});

/** The runs of an instance that may be wanted: the last one, if it is overdue, and the next, if it is to start early. */
export function candidatesOf(instance: Instance, now: string): Candidate[] {
  const [overdue, early] = [overdueRun(instance, now), earlyRun(instance, now)];
  const candidates: Candidate[] = [];
  if (overdue !== undefined)
    candidates.push(candidateOf(instance, overdue, `the run that was due at ${overdue.slot} was missed`, false));
  if (early !== undefined) {
    const { slot, window } = early;
    const reason = `the maintenance window from ${window.startTime} to ${window.endTime}`;
    candidates.push(candidateOf(instance, early, `the run that is due at ${slot} starts before ${reason}`, true));
  }
  return candidates;
}

/**
 * Those that nobody has asked for yet, each as itself, so that its message, when it comes, is known again; and those whose
 * backup failed, unless a person cancelled it, once more under a name of their own.
 */
export async function wantedOf(candidates: readonly Candidate[], store: Store): Promise<WantedRun[]> {
  const wanted: WantedRun[] = [];
  for (let from = 0; from < candidates.length; from += batch) {
    const some = candidates.slice(from, from + batch);
    const names = some.flatMap(({ itself, again }) => [operationName(itself), operationName(again)]);
    const docs = (await store.getAll(names)) as (Doc<Operation> | undefined)[];
    for (const [n, candidate] of some.entries()) {
      const run = wantedAs(candidate, docs[2 * n]?.data, docs[2 * n + 1]?.data);
      if (run !== undefined) wanted.push(run);
    }
  }
  return wanted;
}

function wantedAs(
  { itself, again, data, slot, cause, isEarly }: Candidate,
  first: Operation | undefined,
  second: Operation | undefined,
): WantedRun | undefined {
  if (first === undefined) return { operationId: itself, data, cause, isEarly };
  const hasFailed = first.error !== undefined && first.error.code !== "CANCELLED";
  if (isEarly || !hasFailed || second !== undefined) return undefined;
  return { operationId: again, data, cause: `the run that was due at ${slot} failed: ${first.name}`, isEarly };
}

function candidateOf(instance: Instance, { slot, schedule }: Run, cause: string, isEarly: boolean): Candidate {
  const instanceId = parseInstanceName(instance.name);
  const identity = slotIdentity(instanceId, slot);
  return {
    itself: operationIdFor("backup.v1.requested", identity),
    again: operationIdFor("backup.v1.requested", `${identity} made up`),
    data: scheduledRequest(instanceId, schedule),
    slot,
    cause,
    isEarly,
  };
}
