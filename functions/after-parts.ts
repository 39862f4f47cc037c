import type { Change } from "../shared/pipeline/change.ts";

/** What follows once every part of a restore is loaded. */
export function afterParts(change: Change, instance: string): void {
  change.ask("verification.v1.requested", { instance });
}
