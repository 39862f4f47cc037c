import { type EventType, isEventType } from "../backup/event.ts";
import { operationName, taskName } from "../backup/name.ts";
import type { Operation, Task } from "../backup/operation.ts";
import { verbOf } from "../backup/route.ts";
import { StatusError } from "../error.ts";
import { begin } from "./begin.ts";
import { type Incoming, open } from "./envelope.ts";
import { givenUp, inVain } from "./gain.ts";
import { refuseMalformed } from "./malformed.ts";
import type { Doc, Ports } from "./ports.ts";
import { endOperation } from "./submit.ts";
import type { Timing } from "./timing.ts";

/**
 * A message that Pub/Sub has given up. It ends its Operation only if nobody holds the Task and no attempts are left; else
 * `relay` goes on with the Task. One that was never claimed is begun here: nothing disappears.
 */
export async function buried(message: Omit<Incoming, "type">, ports: Ports, timing: Timing): Promise<void> {
  const type = typeOf(message.attributes);
  if (type === undefined) return ports.log("ERROR", "dead letter of no known topic", { event: message.messageId });
  if (verbOf[type] === undefined) return; // a tick: the next one does as well
  const envelope = open({ ...message, type });
  if (envelope.kind === "ignored") return;
  if (envelope.kind === "malformed") return void (await refuseMalformed(envelope, ports));
  const taskId = envelope.kind === "task" ? envelope.taskId : envelope.type;
  const paths = [operationName(envelope.operationId), taskName(envelope.operationId, taskId)];
  const [operation, task] = (await ports.store.getAll(paths)) as [Doc<Operation>?, Doc<Task>?];
  if (envelope.kind === "request" && operation === undefined)
    return void (await begin(ports, envelope.operationId, envelope.type, envelope.data));
  if (operation === undefined || task === undefined || operation.data.done || task.data.done) return;
  const isLeased = Date.parse(task.data.lease?.expireTime ?? "") > ports.clock.now();
  if (isLeased || inVain(task.data) < timing.maxAttempts) return;
  const { code, message: reason } = task.data.error ?? { code: "UNKNOWN" as const, message: "it never said why" };
  await endOperation(ports, operation.path, new StatusError(code, givenUp(task.data, reason, timing)), false);
}

/** Our own messages say their type; Pub/Sub names the subscription of the others, `valkeep.<type>.<function>`. */
function typeOf(attributes: Record<string, string>): EventType | undefined {
  const subscription = attributes.CloudPubSubDeadLetterSourceSubscription ?? "";
  const type =
    attributes.type ??
    (attributes.eventType !== undefined ? "object.v1.finalized" : subscription.split(".").slice(1, -1).join("."));
  return isEventType(type) ? type : undefined;
}
