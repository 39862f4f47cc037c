import { type EventMap, type EventType, parseEvent } from "../backup/event.ts";
import { continuations } from "../backup/route.ts";
import { StatusError } from "../error.ts";
import { identityOf, operationIdFor } from "./identity.ts";

/** A message as Pub/Sub delivered it. */
export interface Incoming {
  /** Told by the topic that it came from. */
  type: EventType;
  messageId: string;
  /** RFC 3339. */
  publishTime: string;
  attributes: Record<string, string>;
  data: Uint8Array;
}

/**
 * What a message turns out to be. `task`: one of ours, its Task is in the store. `request`: from outside, beginning an
 * Operation. `malformed`: not to be understood now or ever; its Operation says why. `ignored`: not meant for us.
 */
export type Envelope =
  | { kind: "task"; operationId: string; taskId: string }
  | { kind: "request"; operationId: string; type: EventType; data: EventMap[EventType] }
  | { kind: "malformed"; operationId: string; type: EventType; error: StatusError; data?: unknown }
  | { kind: "ignored"; reason: string };

/** Opens a message; never throws for what is in it. */
export function open(incoming: Incoming): Envelope {
  const { type, attributes } = incoming;
  if (attributes.eventType !== undefined && type === "object.v1.finalized") return openNotification(incoming);
  const { operation, task } = attributes;
  const isTask = operation !== undefined && task !== undefined && isOurs(operation, task);
  if (isTask && typeOf(task) === type) return { kind: "task", operationId: operation, taskId: task };
  let data: unknown;
  try {
    if (isTask) throw invalid(`the message names a task of ${typeOf(task)}, its topic carries ${type}`);
    if (attributes.type !== undefined && attributes.type !== type)
      throw invalid(
        `the message says it is ${JSON.stringify(attributes.type.slice(0, 60))}, its topic carries ${type}`,
      );
    if (continuations.includes(type)) throw invalid(`${type} belongs to an operation, and the message names none`);
    data = parseJson(incoming.data);
    return requestOf(type, parseEvent(type, data), incoming);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const operationId = operationIdFor(type, malformed(incoming));
    return { kind: "malformed", operationId, type, error };
  }
}

/** Cloud Storage's notification: attributes name the object; its folders' placeholders are none of our business. */
function openNotification(incoming: Incoming): Envelope {
  const {
    eventType,
    bucketId: bucket = "",
    objectId: object = "",
    objectGeneration: generation = "",
  } = incoming.attributes;
  if (eventType !== "OBJECT_FINALIZE") return { kind: "ignored", reason: "not a finalized object" };
  if (object.endsWith("/")) return { kind: "ignored", reason: "a folder" };
  try {
    return requestOf(incoming.type, parseEvent("object.v1.finalized", { bucket, object, generation }), incoming);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const isNamed = bucket !== "" && object !== "" && generation !== "";
    const identity = isNamed ? identityOf({ bucket, object, generation }, incoming) : malformed(incoming);
    const operationId = operationIdFor(incoming.type, identity);
    return {
      kind: "malformed",
      operationId,
      type: incoming.type,
      error,
      data: { bucket, object: object.slice(0, 1024), generation },
    };
  }
}

/** By which a message that cannot be understood is known again: nothing in it is believed. */
const malformed = ({ messageId }: Incoming): string => `malformed ${messageId}`;

function requestOf(type: EventType, data: EventMap[EventType], incoming: Incoming): Envelope {
  return { kind: "request", operationId: operationIdFor(type, identityOf(data, incoming)), type, data };
}

/** Ids that can name a Task of ours: anything else would be somebody else's path in the store. */
function isOurs(operationId: string, taskId: string): boolean {
  return /^[a-z]+-[a-z0-9][a-z0-9-]{0,60}$/.test(operationId) && /^[a-z0-9][a-z0-9.:]{0,79}$/.test(taskId);
}

/** `shard.v1.requested:0` is a task of `shard.v1.requested`: only whoever hears that may claim it. */
const typeOf = (taskId: string): string => taskId.split(":", 1)[0] ?? "";

function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) throw invalid("the message has no data, a request is JSON");
  if (bytes.byteLength > 65_536)
    throw invalid(`the message has ${bytes.byteLength} bytes, a request has at most 65536`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new StatusError("INVALID_ARGUMENT", "the message is not JSON", { cause });
  }
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
