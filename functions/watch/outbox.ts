import { later } from "../../shared/backup/duration.ts";
import type { Look, Symptom } from "../../shared/backup/finding.ts";
import { type OutboxEntry, outboxCollection } from "../../shared/pipeline/change.ts";
import type { Round } from "./round.ts";

/** An event that should have been out for so long waits for somebody, in seconds: `relay` comes every minute. */
const patience = 300;
/** After so long everything that is asked for stands still, in seconds. */
const standstill = 3600;
/** How many late entries are counted. */
const most = 200;

/** Whether what was decided is also said: the events that `relay` should have published by now. */
export async function* outboxLook({ ports, time }: Round): AsyncGenerator<Look> {
  const late = later(time, -patience);
  const overdue = async (field: "relayTime" | "dueTime") =>
    await ports.store.query<OutboxEntry>({
      collection: outboxCollection,
      where: [[field, "<=", late]],
      orderBy: { field, direction: "asc" },
      limit: most,
    });
  const found = [...(await overdue("relayTime")), ...(await overdue("dueTime"))];
  const since = new Map(found.map(({ path, data }) => [path, data.dueTime ?? data.relayTime]));
  yield {
    resource: "outbox",
    time,
    symptoms: since.size === 0 ? [] : [symptom([...since.values()], time)],
    unread: [],
  };
}

function symptom(times: readonly string[], now: string): Symptom {
  const oldest = times.reduce((one, other) => (other < one ? other : one));
  const count = times.length < most ? String(times.length) : `${most} or more`;
  return {
    kind: "outbox-stuck",
    severity: oldest <= later(now, -standstill) ? "CRITICAL" : "WARNING",
    message: `${count} events wait to be published, the oldest since ${oldest}`,
    advice: "See the log of relay: is valkeep-tick enabled, does every topic exist, may it publish?",
  };
}
