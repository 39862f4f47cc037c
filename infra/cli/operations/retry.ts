import { type EventMap, type EventType, parseEvent } from "../../../shared/backup/event.ts";
import type { Operation } from "../../../shared/backup/operation.ts";
import { continuations } from "../../../shared/backup/route.ts";
import { StatusError } from "../../../shared/error.ts";
import { begin } from "../../../shared/pipeline/begin.ts";
import { operationIdFor } from "../../../shared/pipeline/identity.ts";
import { asyncFlag, command } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readOperationName } from "../names.ts";

export const retry = command({
  positionals: { OPERATION: { help: "the id of one that failed", read: readOperationName } },
  flags: { ...asyncFlag },
  example: "valkeep operations retry backup-3f9a1c2b4d5e6f70",

  async run({ positionals: { OPERATION: name }, flags }, session) {
    const { ports } = await session.connect();
    const found = (await ports.store.get<Operation>(name))?.data;
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    if (found.error === undefined)
      throw new StatusError("FAILED_PRECONDITION", `${name} ${found.done ? "did what it was asked" : "still goes on"}`);
    const { type } = found.request;
    const requestId = ports.ids.uuid();
    const id = operationIdFor(type, `retry ${name} ${requestId}`);
    const again = await begin(ports, id, type, repeated(found, requestId), async ({ operation }) => {
      if (found.dryRunTarget !== undefined) operation.dryRunTarget = found.dryRunTarget;
    });
    session.say(`${again} does it again`);
    return await conclude(again, flags.async, ports, session);
  },
});

/** The request as it was recorded, under a requestId of its own where its kind has one. */
function repeated({ name, request: { type, data } }: Operation, requestId: string): EventMap[EventType] {
  const { requestId: _, ...asked } = Object(data) as Record<string, unknown>;
  try {
    return isNamed(type) ? parseEvent(type, { ...asked, requestId }) : parseEvent(type, asked);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StatusError("FAILED_PRECONDITION", `${name} cannot be asked again: ${reason}`, { cause });
  }
}

/** What the system itself asks for is known by what it is about, and has no requestId. */
const isNamed = (type: EventType): boolean => type !== "object.v1.finalized" && !continuations.includes(type);
