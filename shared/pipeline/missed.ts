import type { Instance } from "../backup/backup.ts";
import type { EventMap } from "../backup/event.ts";
import { overdueRun, type Run } from "../backup/missed.ts";
import { operationName, parseInstanceName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import type { Schedule } from "../backup/schedule.ts";
import { operationIdFor, slotIdentity } from "./identity.ts";
import type { Doc, Store } from "./ports.ts";

/** A backup that a schedule should have brought, to be asked for now. */
export interface MissedRun {
  operationId: string;
  data: EventMap["backup.v1.requested"];
  /** Why it is asked for, as its Operation says it. */
  cause: string;
}

/** Documents that are read at once. */
const batch = 100;

/** What a scheduled run of an instance asks for. */
export const scheduledRequest = (instance: string, schedule: Schedule): EventMap["backup.v1.requested"] => ({
  instance,
  backupType: "AUTOMATED",
  schedule,
});

/**
 * The runs of these instances that are to be made up for: whose message never came, or whose backup failed, unless a person
 * cancelled it. A missed run is asked for as itself, so that its message, if it comes at last, is known again; one that
 * failed is asked for once more under a name of its own.
 */
export async function missedRuns(instances: readonly Instance[], store: Store, now: string): Promise<MissedRun[]> {
  const missed: MissedRun[] = [];
  const overdue = instances.flatMap((instance) => {
    const run = overdueRun(instance, now);
    return run === undefined ? [] : [askedFor(parseInstanceName(instance.name), run)];
  });
  for (let from = 0; from < overdue.length; from += batch / 2) {
    const some = overdue.slice(from, from + batch / 2);
    const names = some.flatMap(({ itself, again }) => [operationName(itself), operationName(again)]);
    const docs = (await store.getAll(names)) as (Doc<Operation> | undefined)[];
    for (const [n, { itself, again, data, slot }] of some.entries()) {
      const [first, second] = [docs[2 * n]?.data, docs[2 * n + 1]];
      if (first === undefined)
        missed.push({ operationId: itself, data, cause: `the run that was due at ${slot} was missed` });
      else if (second === undefined && first.error !== undefined && first.error.code !== "CANCELLED")
        missed.push({ operationId: again, data, cause: `the run that was due at ${slot} failed: ${first.name}` });
    }
  }
  return missed;
}

/** The ids under which a run is known, the first time and once more. */
function askedFor(instanceId: string, { slot, schedule }: Run) {
  const identity = slotIdentity(instanceId, slot);
  const itself = operationIdFor("backup.v1.requested", identity);
  const again = operationIdFor("backup.v1.requested", `${identity} made up`);
  return { itself, again, slot, data: scheduledRequest(instanceId, schedule) };
}
