import { createHash } from "node:crypto";
import { later } from "../backup/duration.ts";
import { type EventType, targetOf } from "../backup/event.ts";
import { operationName } from "../backup/name.ts";
import type { Operation, Verb } from "../backup/operation.ts";
import { verbOf } from "../backup/route.ts";
import { type Schedule, slotOf } from "../backup/schedule.ts";

/** Seconds after which an Operation that is still not done has failed. */
const deadlines: Record<Verb, number> = {
  backup: 6 * 3600,
  export: 6 * 3600,
  retire: 24 * 3600,
  restore: 24 * 3600,
  undo: 24 * 3600,
  sweep: 3600,
  delete: 24 * 3600,
  undelete: 24 * 3600,
  hold: 24 * 3600,
  release: 24 * 3600,
  update: 24 * 3600,
  erase: 24 * 3600,
  dissolve: 24 * 3600,
  schedule: 24 * 3600,
  rebuild: 24 * 3600,
  reclaim: 24 * 3600,
};

/** The id of the Operation that an event of this type and identity begins: the same identity, the same Operation. */
export function operationIdFor(type: EventType, identity: string): string {
  return `${verbFor(type)}-${createHash("sha256").update(`${type}\n${identity}`).digest("hex").slice(0, 16)}`;
}

/**
 * How long an Operation may go on, in seconds, as long as its deliveries bring something: 250 shards, one after the other, a whole
 * delivery each, are through by then; what begins anew, or dies, each time has to end some day.
 */
const longestCourse = 3 * 86_400;

/** The deadline of an Operation that has got on: it has all its time again, so long after `since` at most, and never less than before. */
export function prolonged({ verb, deadlineTime }: Operation, now: string, since: string): string {
  const again = later(now, deadlines[verb]);
  const latest = later(since, longestCourse);
  const wanted = again < latest ? again : latest;
  return wanted > deadlineTime ? wanted : deadlineTime;
}

/**
 * From when an Operation can be worked at: one that was asked for with `notBefore` has its deadline that much later. Of one that was
 * prolonged, when it got on last.
 */
export const beginTimeOf = ({ verb, deadlineTime }: Operation): string => later(deadlineTime, -deadlines[verb]);

/**
 * By which a message from outside is known again: its requestId, its slot, its object's generation, else its message id. A
 * dry run is never taken for the real one.
 */
export function identityOf(data: unknown, message: { messageId: string; publishTime: string }): string {
  const fields = (typeof data === "object" && data !== null ? data : {}) as Record<string, unknown>;
  const { requestId, instance, backup, collection, schedule, bucket, object, generation } = fields;
  const { restore, dryRun, execute } = fields;
  const manner = `${dryRun === true ? " dry run" : ""}${execute === true ? " executed" : ""}`;
  if (typeof requestId === "string")
    return `request ${String(instance ?? backup ?? collection ?? restore ?? "")} ${requestId}${manner}`;
  if (bucket !== undefined && object !== undefined && generation !== undefined)
    return `object ${bucket}/${object}#${generation}`;
  if (schedule !== undefined)
    return slotIdentity(String(instance ?? ""), slotOf(schedule as Schedule, message.publishTime));
  return `message ${message.messageId}`;
}

/** By which a scheduled run is known again, whoever asks for it. `instanceId`: empty for a schedule that is of no instance. */
export const slotIdentity = (instanceId: string, slot: string): string => `slot ${instanceId} ${slot}`;

/** An Operation at its beginning, its verb told by the event. */
export function newOperation(type: EventType, data: unknown, operationId: string, now: string): Operation {
  const verb = verbFor(type);
  const { requestId } = (typeof data === "object" && data !== null ? data : {}) as Record<string, unknown>;
  return {
    name: operationName(operationId),
    verb,
    target: targetOf(type, data),
    ...(typeof requestId === "string" && { requestId: requestId.slice(0, 128) }),
    request: { type, data },
    createTime: now,
    done: false,
    progress: { step: type },
    deadlineTime: later(now, deadlines[verb]),
    holds: [],
  };
}

function verbFor(type: EventType): Verb {
  const verb = verbOf[type];
  if (verb === undefined) throw new Error(`${type} belongs to no operation`);
  return verb;
}
