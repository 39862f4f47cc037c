import { timeOf } from "../backup/duration.ts";
import { type EventMap, type EventType, parseEvent } from "../backup/event.ts";
import type { Operation } from "../backup/operation.ts";
import { asStatusError, StatusError } from "../error.ts";
import { begin } from "./begin.ts";
import { Change } from "./change.ts";
import { isUnsettled } from "./failure.ts";
import { identityOf, operationIdFor } from "./identity.ts";
import { publish } from "./outbox.ts";
import type { Ports } from "./ports.ts";

/**
 * Asks for an Operation, from the command line or the console. Asked twice with the same requestId, it is begun once.
 * `decide` may put down more in the same batch. Answers the Operation's name.
 */
export async function submit<T extends EventType>(
  ports: Ports,
  type: T,
  data: EventMap[T],
  decide?: (change: Change) => Promise<void>,
): Promise<string> {
  const { clock, ids } = ports;
  const request = parseEvent(type, { requestId: ids.uuid(), ...data });
  const message = { messageId: ids.uuid(), publishTime: timeOf(clock.now()) };
  return await begin(ports, operationIdFor(type, identityOf(request, message)), type, request, decide);
}

/** Ends an Operation from outside: cancelled by a person, or overdue. Nothing happens to one that has ended. */
export async function endOperation(
  ports: Ports,
  name: string,
  error: StatusError,
  isRefusal: boolean,
): Promise<boolean> {
  const { store, clock } = ports;
  let mine: string | undefined;
  for (let round = 0; round < 20; round++) {
    const operation = await store.get<Operation>(name);
    if (operation === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    const { done, endTime, error: cause } = operation.data;
    if (done) return mine !== undefined && endTime === mine && cause?.message === error.message;
    const change = new Change(store, timeOf(clock.now()), operation);
    await change.end({ error: { code: error.code, message: error.message }, isRefusal });
    try {
      await store.commit(change.writes());
      await publish(change.outgoing(), ports).catch((thrown) =>
        ports.log("WARNING", "left to relay", { operation: name, code: asStatusError(thrown).code }),
      );
      return true;
    } catch (thrown) {
      if (!isUnsettled(thrown)) throw thrown;
      mine = change.now;
    }
    await clock.sleep(20 * (round + 1));
  }
  throw new StatusError("ABORTED", `${name} could not be ended: it keeps changing; try again`);
}
