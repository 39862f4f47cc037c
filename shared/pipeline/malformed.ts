import { timeOf } from "../backup/duration.ts";
import { operationName } from "../backup/name.ts";
import { Change } from "./change.ts";
import type { Envelope } from "./envelope.ts";
import { errorOf } from "./failure.ts";
import { newOperation } from "./identity.ts";
import { publish } from "./outbox.ts";
import type { Ports } from "./ports.ts";

/** Puts down an Operation that ended before it began, so that whoever sent the message can find out why. */
export async function refuseMalformed(
  envelope: Extract<Envelope, { kind: "malformed" }>,
  ports: Ports,
): Promise<"done"> {
  const { operationId, type, error, data } = envelope;
  const { store, clock, log } = ports;
  const name = operationName(operationId);
  log("WARNING", "malformed message", { operation: name, type, reason: error.message });
  if ((await store.get(name)) !== undefined) return "done";
  const now = timeOf(clock.now());
  const change = new Change(store, now, newOperation(type, data ?? {}, operationId, now));
  await change.end({ error: errorOf(error) });
  await store.commit(change.writes());
  await publish(change.outgoing(), ports);
  return "done";
}
