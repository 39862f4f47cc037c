import type { FunctionName } from "../shared/backup/route.ts";
import type { AnyStep } from "../shared/pipeline/step.ts";
import { backup } from "./backup.ts";
import { clearance, dissolution } from "./dissolve.ts";
import { deletion, erasure, undelete } from "./erase.ts";
import { copyOnward, exportBackup } from "./export.ts";
import { expiry, hold, releaseHold } from "./keep.ts";
import { matching } from "./live/matching.ts";
import { merge } from "./live/merge.ts";
import { select } from "./live/select.ts";
import { undo } from "./live/undo.ts";
import { load } from "./load.ts";
import { rebuild, recount } from "./rebuild.ts";
import { reclaim } from "./reclaim.ts";
import { replay } from "./replay.ts";
import { restore, restoreLanded } from "./restore.ts";
import { retirement } from "./retire.ts";
import { reconciliation, schedule } from "./schedule.ts";
import { seal } from "./seal.ts";
import { snapshot } from "./snapshot.ts";
import { sweep } from "./sweep.ts";
import { verify } from "./verify.ts";

/** The functions that take steps; the others leave no Operation. */
export type StepFunction = Exclude<FunctionName, "relay" | "watch">;

/** The map of the system: which function takes which steps. `routes` tells which topics reach it. */
export const steps: Record<StepFunction, readonly AnyStep[]> = {
  backup: [backup],
  snapshot: [snapshot],
  seal: [seal],
  export: [exportBackup, copyOnward],
  keep: [hold, releaseHold, expiry],
  sweep: [sweep],
  erase: [deletion, undelete, erasure, dissolution, clearance, retirement],
  restore: [restore, select, matching, restoreLanded],
  load: [load, replay, merge, undo],
  verify: [verify],
  schedule: [schedule, reconciliation],
  catalogue: [rebuild, recount, reclaim],
};
