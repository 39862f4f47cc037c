import type { FunctionName } from "../shared/backup/event.ts";
import type { AnyStep } from "../shared/pipeline/step.ts";
import { backup } from "./backup.ts";
import { clearance, dissolution } from "./dissolve.ts";
import { deletion, erasure, undelete } from "./erase.ts";
import { copyOnward, exportBackup } from "./export.ts";
import { expiry, hold, releaseHold } from "./keep.ts";
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
  restore: [restore, restoreLanded],
  load: [load, replay],
  verify: [verify],
  schedule: [schedule, reconciliation],
  catalogue: [rebuild, recount, reclaim],
};
