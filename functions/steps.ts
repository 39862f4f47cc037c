import type { FunctionName } from "../shared/backup/event.ts";
import type { AnyStep } from "../shared/pipeline/step.ts";
import { backup } from "./backup.ts";
import { clearance, dissolution } from "./dissolve.ts";
import { deletion, erasure, undelete } from "./erase.ts";
import { exportBackup } from "./export.ts";
import { expiry, hold, releaseHold } from "./keep.ts";
import { load } from "./load.ts";
import { rebuild, recount } from "./rebuild.ts";
import { reclaim } from "./reclaim.ts";
import { restore, restoreLanded } from "./restore.ts";
import { reconciliation, schedule } from "./schedule.ts";
import { seal } from "./seal.ts";
import { snapshot } from "./snapshot.ts";
import { sweep } from "./sweep.ts";
import { verify } from "./verify.ts";

/** The map of the system: which function takes which steps. `routes` tells which topics reach it. */
export const steps: Record<Exclude<FunctionName, "relay">, readonly AnyStep[]> = {
  backup: [backup],
  snapshot: [snapshot],
  seal: [seal],
  export: [exportBackup],
  keep: [hold, releaseHold, expiry],
  sweep: [sweep],
  erase: [deletion, undelete, erasure, dissolution, clearance],
  restore: [restore, restoreLanded],
  load: [load],
  verify: [verify],
  schedule: [schedule, reconciliation],
  catalogue: [rebuild, recount, reclaim],
};
