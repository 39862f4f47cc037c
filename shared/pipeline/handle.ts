import { timeOf } from "../backup/duration.ts";
import { type EventMap, type EventType, parseEvent } from "../backup/event.ts";
import type { Task } from "../backup/operation.ts";
import { asStatusError, StatusError } from "../error.ts";
import { type Claim, claim } from "./claim.ts";
import { commit, finished } from "./commit.ts";
import { type Envelope, type Incoming, open } from "./envelope.ts";
import { errorOf } from "./failure.ts";
import { givenUp, inVain } from "./gain.ts";
import { isHeldBy, LeaseKeeper } from "./lease.ts";
import { refuseMalformed } from "./malformed.ts";
import { publish } from "./outbox.ts";
import type { Ports } from "./ports.ts";
import { makeWay, Postponed, Superseded } from "./postpone.ts";
import type { AnyStep, Work } from "./step.ts";
import type { Timing } from "./timing.ts";
import { verdictOn } from "./verdict.ts";

/** `later`: fail the delivery, somebody alive is at it, or it has to be tried again. */
export type Answer = "done" | "later";

/**
 * The loop: claim, run, commit, publish. Resolves with `done` when the message may be acknowledged; whatever it throws
 * fails the delivery, and the message comes again.
 */
export async function handle(
  steps: readonly AnyStep[],
  incoming: Incoming,
  ports: Ports,
  timing: Timing,
): Promise<Answer> {
  const arrival = ports.clock.monotonic();
  const envelope = open(incoming);
  if (envelope.kind === "ignored") return "done";
  if (envelope.kind === "malformed") return refuseMalformed(envelope, ports);
  const claimed = await claimOrDrop(envelope, ports, timing);
  if (claimed === "done" || claimed === "later") return claimed;
  const step = steps.find(({ on }) => on === claimed.task.type);
  if (step === undefined) throw new StatusError("UNIMPLEMENTED", `nobody here takes ${claimed.task.type}`);
  const { name, operation } = { name: claimed.taskPath, operation: claimed.operationPath };
  ports.log("INFO", "claimed", { task: name, operation, event: incoming.messageId, attempt: claimed.task.attempt });
  try {
    if (inVain(claimed.task) > timing.maxAttempts)
      throw new StatusError("ABORTED", claimed.task.error?.message ?? "none of its attempts came back");
    await perform(step, claimed, ports, timing, arrival);
    ports.log("INFO", "done", { task: name, attempt: claimed.task.attempt });
    return "done";
  } catch (thrown) {
    if (thrown instanceof Postponed || thrown instanceof Superseded) return await standBack(thrown, claimed, ports);
    return await settle(asStatusError(thrown), step, claimed, ports, timing);
  }
}

/** Nothing is done now, and the message has done its part: the Task waits, or somebody else does its work. */
async function standBack(why: Postponed | Superseded, claimed: Claim, ports: Ports): Promise<Answer> {
  ports.log("INFO", why.name.toLowerCase(), { task: claimed.taskPath, reason: why.message });
  const outgoing = await makeWay(why, claimed, ports);
  if (outgoing !== undefined) await publish(outgoing, ports);
  return "done";
}

async function claimOrDrop(
  envelope: Extract<Envelope, { kind: "task" | "request" }>,
  ports: Ports,
  timing: Timing,
): Promise<Claim | Answer> {
  try {
    return await claim(envelope, ports, timing);
  } catch (error) {
    if (asStatusError(error).code !== "NOT_FOUND") throw error;
    ports.log("WARNING", "dropped a message of an operation that is no longer kept", {
      operation: envelope.operationId,
    });
    return "done";
  }
}

async function perform(step: AnyStep, claimed: Claim, ports: Ports, timing: Timing, arrival: number): Promise<void> {
  const keeper = new LeaseKeeper(claimed, ports, timing, arrival, step.goesOn);
  const work = workOf(claimed, keeper);
  const { admit, run } = step;
  if (admit !== undefined) {
    const admitted = await commit(
      claimed,
      ports,
      (task) => task,
      (change) => admit(work, change, ports),
    );
    if (admitted === undefined) return;
    await publish(admitted, ports);
  }
  let result: unknown;
  if (run !== undefined) {
    keeper.start();
    try {
      result = await run(work, ports, keeper.signal);
    } catch (error) {
      const { aborted, reason } = keeper.signal;
      throw aborted && !isInOtherWords(error, reason) ? reason : error;
    } finally {
      await keeper.stop();
    }
  }
  const outgoing = await commit(claimed, ports, finished, (change) => step.commit(work, result, change, ports));
  if (outgoing !== undefined) await publish(outgoing, ports);
}

/** Whether a step has said more of the reason why it had to stop. */
const isInOtherWords = (error: unknown, reason: StatusError): boolean =>
  error instanceof StatusError && error.code === reason.code && error.cause === reason;

function workOf({ task, operation }: Claim, keeper: LeaseKeeper): Work<EventType> {
  return {
    type: task.type,
    data: parseEvent(task.type, task.data) as EventMap[EventType],
    operation: operation.name,
    createTime: operation.createTime,
    epoch: task.lease.epoch,
    attempt: task.attempt,
    inVain: inVain(task),
    renew: () => keeper.renew(),
    timeLeft: () => keeper.timeLeft(),
    ...(task.error !== undefined && { lastError: task.error }),
    ...(task.progress?.resume !== undefined && { resume: task.progress.resume }),
    progress: (...told) => keeper.progress(...told),
  };
}

/** What the error table says, done: the delivery fails, or the Operation ends. */
async function settle(
  error: StatusError,
  step: AnyStep,
  claimed: Claim,
  ports: Ports,
  timing: Timing,
): Promise<Answer> {
  const { attempt } = claimed.task;
  const verdict = verdictOn(error, step.goesOn);
  ports.log(verdict === "refuse" ? "INFO" : "WARNING", verdict === "retry" ? "attempt failed" : verdict, {
    task: claimed.taskPath,
    attempt,
    code: error.code,
    reason: error.message,
  });
  const left = verdict === "retry" ? await leftBy(claimed, ports, timing) : claimed.task;
  if (verdict === "retry" && inVain(left) < timing.maxAttempts) {
    await releaseLease(error, claimed, ports, timing);
    return "later";
  }
  const message = verdict === "retry" ? givenUp(left, error.message, timing) : error.message;
  const isRefusal = verdict === "refuse" && step.isUnattended?.(claimed.operation.request.data) !== true;
  const outgoing = await commit(claimed, ports, finished, (change) =>
    change.end({ error: { ...errorOf(error), message }, isRefusal }),
  );
  if (outgoing !== undefined) await publish(outgoing, ports);
  return "done";
}

/** The Task as this attempt leaves it; what it has brought matters only where it may be the last one. */
async function leftBy({ task, taskPath }: Claim, { store }: Ports, { maxAttempts }: Timing): Promise<Task> {
  if (inVain(task) < maxAttempts) return task;
  return (await store.get<Task>(taskPath))?.data ?? task;
}

/** Lets the next delivery begin at once. Where that cannot be written the lease simply lapses. */
async function releaseLease(error: StatusError, claimed: Claim, ports: Ports, timing: Timing): Promise<void> {
  const { store, clock, log } = ports;
  try {
    const doc = await store.get<Claim["task"]>(claimed.taskPath);
    if (!isHeldBy(doc, claimed.task.lease) || doc.data.done) return;
    const now = clock.now();
    const lease = { ...claimed.task.lease, expireTime: timeOf(now) };
    const data = { ...doc.data, lease, error: errorOf(error), relayTime: timeOf(now + timing.neglect) };
    await store.commit([{ kind: "put", path: claimed.taskPath, data, updateTime: doc.updateTime }]);
  } catch (thrown) {
    log("WARNING", "lease not released, it will lapse", { task: claimed.taskPath, code: asStatusError(thrown).code });
  }
}
