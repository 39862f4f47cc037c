import { timeOf } from "../shared/backup/duration.ts";
import { type Look, type WatchRecord, watchRecord } from "../shared/backup/finding.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Ports } from "../shared/pipeline/ports.ts";
import { record } from "../shared/pipeline/record.ts";
import { bucketLooks } from "./watch/buckets.ts";
import { forgetCleared, formerLooks } from "./watch/former.ts";
import { instanceLooks } from "./watch/instances.ts";
import { vitalJobLooks } from "./watch/jobs.ts";
import { operationLooks } from "./watch/operations.ts";
import { outboxLook } from "./watch/outbox.ts";
import { alone, type Round } from "./watch/round.ts";

/** How long one round takes at most, in milliseconds; what is left then is looked at in the next. */
const patience = 240_000;

/** What is looked at, in this order: the few things that everything rests on first. */
const looks: Record<string, (round: Round) => AsyncIterable<Look>> = {
  buckets: bucketLooks,
  jobs: vitalJobLooks,
  outbox: outboxLook,
  operations: operationLooks,
  instances: instanceLooks,
  "former findings": formerLooks,
};

/**
 * Looks for what did not happen and for what is not as it should be, keeps findings of it, and tells what is new and what is in
 * order again. Whatever cannot be looked at stays as it was found last.
 */
export async function watch(ports: Ports): Promise<void> {
  const { store, clock } = ports;
  const before = await store.get<WatchRecord>(watchRecord);
  const ended = new AbortController();
  const over = new AbortController();
  const alarm = clock.sleep(patience, ended.signal).then(
    () => over.abort(new StatusError("DEADLINE_EXCEEDED", `a round of watch takes at most ${patience / 1000} s`)),
    () => undefined,
  );
  const round: Round = {
    ports,
    time: timeOf(clock.now()),
    signal: over.signal,
    inspected: before?.data.inspected,
    reached: before?.data.reached,
  };
  for (const [what, looking] of Object.entries(looks))
    await alone(what, round, async () => {
      for await (const look of looking(round)) await alone(look.resource, round, () => record(ports, look));
    });
  await alone("cleared findings", round, () => forgetCleared(round));
  ended.abort();
  await alarm;
  await remember(round, before?.updateTime);
}

/** Where another round has ended meanwhile, what it has left is as good. */
async function remember({ ports, time, inspected, reached }: Round, updateTime: string | undefined): Promise<void> {
  const places = { ...(inspected !== undefined && { inspected }), ...(reached !== undefined && { reached }) };
  const data: WatchRecord = { time, ...places };
  try {
    await ports.store.commit([
      updateTime === undefined
        ? { kind: "create", path: watchRecord, data }
        : { kind: "put", path: watchRecord, data, updateTime },
    ]);
  } catch (error) {
    if (asStatusError(error).code !== "ABORTED") throw error;
  }
}
