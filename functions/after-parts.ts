import type { RestorePlan } from "../shared/backup/operation.ts";
import type { Change } from "../shared/pipeline/change.ts";

/** Asks for the first parts of a restore, one for each lane; where there are none, for what follows. */
export function beginParts(change: Change, instance: string, plan: RestorePlan): void {
  for (let part = 0; part < plan.askedCount; part++) change.ask("part.v1.requested", { instance, part }, part);
  if (plan.parts.length === 0) afterParts(change, instance);
}

/** What follows once every part of a restore is loaded: the commands of an AOF, or the comparison. */
export function afterParts(change: Change, instance: string): void {
  if (change.operation.plan?.replays === undefined) change.ask("verification.v1.requested", { instance });
  else change.ask("replay.v1.requested", { instance, phase: "RUN" }, "run");
}
