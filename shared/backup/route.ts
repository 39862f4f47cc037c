import type { EventType } from "./event.ts";
import type { Verb } from "./operation.ts";

/** Which function hears which topics; `dead-letter` is the topic of messages that were given up. */
export const routes = {
  backup: ["backup.v1.requested"],
  snapshot: ["shard.v1.requested"],
  seal: ["seal.v1.requested"],
  export: ["export.v1.requested", "copy.v1.requested"],
  keep: ["hold.v1.requested", "release.v1.requested", "expiry.v1.requested"],
  sweep: ["sweep.v1.requested"],
  erase: [
    "deletion.v1.requested",
    "undelete.v1.requested",
    "erasure.v1.requested",
    "dissolution.v1.requested",
    "clearance.v1.requested",
    "retirement.v1.requested",
  ],
  restore: ["restore.v1.requested", "selection.v1.requested", "matching.v1.requested", "object.v1.finalized"],
  load: ["part.v1.requested", "replay.v1.requested", "merge.v1.requested", "undo.v1.requested"],
  verify: ["verification.v1.requested"],
  schedule: ["instance.v1.changed", "reconciliation.v1.requested"],
  catalogue: ["rebuild.v1.requested", "recount.v1.requested", "orphans.v1.requested"],
  relay: ["tick.v1", "dead-letter"],
  watch: ["watch.v1"],
} as const satisfies Record<string, readonly (EventType | "dead-letter")[]>;

export type FunctionName = keyof typeof routes;

/** The verb of the Operation that a request belongs to. */
export const verbOf: { readonly [T in EventType]?: Verb } = {
  "backup.v1.requested": "backup",
  "shard.v1.requested": "backup",
  "seal.v1.requested": "backup",
  "export.v1.requested": "export",
  "copy.v1.requested": "export",
  "retirement.v1.requested": "retire",
  "sweep.v1.requested": "sweep",
  "deletion.v1.requested": "delete",
  "undelete.v1.requested": "undelete",
  "hold.v1.requested": "hold",
  "release.v1.requested": "release",
  "expiry.v1.requested": "update",
  "erasure.v1.requested": "erase",
  "dissolution.v1.requested": "dissolve",
  "clearance.v1.requested": "dissolve",
  "restore.v1.requested": "restore",
  "selection.v1.requested": "restore",
  "matching.v1.requested": "restore",
  "merge.v1.requested": "restore",
  "undo.v1.requested": "undo",
  "object.v1.finalized": "restore",
  "part.v1.requested": "restore",
  "replay.v1.requested": "restore",
  "verification.v1.requested": "restore",
  "instance.v1.changed": "schedule",
  "reconciliation.v1.requested": "schedule",
  "rebuild.v1.requested": "rebuild",
  "recount.v1.requested": "rebuild",
  "orphans.v1.requested": "reclaim",
};

/** Requests that only go on with an Operation: one from outside belongs to none and is refused. */
export const continuations: readonly EventType[] = [
  "shard.v1.requested",
  "seal.v1.requested",
  "copy.v1.requested",
  "retirement.v1.requested",
  "erasure.v1.requested",
  "clearance.v1.requested",
  "recount.v1.requested",
  "matching.v1.requested",
  "merge.v1.requested",
  "part.v1.requested",
  "replay.v1.requested",
  "verification.v1.requested",
];

/** The Pub/Sub topic's id of an event. */
export const topicOf = (type: EventType | "dead-letter"): string => `valkeep.${type}`;
