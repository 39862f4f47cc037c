import { timeOf } from "../backup/duration.ts";
import type { EventMap, EventType } from "../backup/event.ts";
import { operationName } from "../backup/name.ts";
import type { Operation } from "../backup/operation.ts";
import { asStatusError, StatusError } from "../error.ts";
import { Change } from "./change.ts";
import { isUnsettled } from "./failure.ts";
import { newOperation } from "./identity.ts";
import { publish } from "./outbox.ts";
import type { Ports } from "./ports.ts";

/**
 * Begins an Operation: itself, its first Task, the event and whatever else `decide` puts down, in one batch. One that
 * was begun before is left as it is. Answers its name.
 */
export async function begin<T extends EventType>(
  ports: Ports,
  operationId: string,
  type: T,
  data: EventMap[T],
  decide: (change: Change) => Promise<void> = async () => undefined,
): Promise<string> {
  const { store, clock } = ports;
  const name = operationName(operationId);
  let last: unknown;
  for (let round = 0; round < 5; round++) {
    if ((await store.get<Operation>(name)) !== undefined) return name;
    const now = timeOf(clock.now());
    const change = new Change(store, now, newOperation(type, data, operationId, now));
    change.ask(type, data);
    await decide(change);
    try {
      await store.commit(change.writes());
    } catch (error) {
      if (!isUnsettled(error)) throw error;
      last = error;
      continue; // it may be there: what it asked for is in the outbox then, and `relay` publishes it
    }
    await publish(change.outgoing(), ports);
    return name;
  }
  const { code, message } = asStatusError(last);
  const reason = code === "ABORTED" ? "what it concerns keeps changing" : message;
  throw new StatusError(code, `${name} could not be begun: ${reason}; try again`, { cause: last });
}
