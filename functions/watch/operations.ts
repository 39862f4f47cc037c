import { later } from "../../shared/backup/duration.ts";
import type { Look, Symptom } from "../../shared/backup/finding.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { idOf } from "../../shared/pipeline/change.ts";
import { beginTimeOf } from "../../shared/pipeline/identity.ts";
import type { Doc, Query } from "../../shared/pipeline/ports.ts";
import type { Round } from "./round.ts";

/** A Task that nobody has worked at for so long is stuck, in seconds: `relay` sends its message again every minute. */
const neglect = 900;
/** For how long a failure is a finding, in seconds. */
const failureLife = 86_400;
const pageSize = 100;
/** Of what stands still, and of a day's failures, so many are told in one round: others want to be looked at, too. */
const most = 200;

/**
 * The Operations that stand still, and those that have failed within the last day. One in order has no finding yet, or it is
 * one of those that are looked at again.
 */
export async function* operationLooks(round: Round): AsyncGenerator<Look> {
  const { store } = round.ports;
  const running = { collection: "operations", where: [["done", "==", false]], limit: pageSize } satisfies Query;
  let told = 0;
  for (let after: Doc | undefined; told < most; ) {
    const page: Doc<Operation>[] = await store.query<Operation>({ ...running, ...(after && { after }) });
    for (const { data } of page) {
      const look = await operationLook(data, round);
      if (look.symptoms.length === 0) continue;
      told++;
      yield look;
    }
    after = page.at(-1);
    if (page.length < pageSize || round.signal.aborted) break;
  }
  const failed = await store.query<Operation>({
    collection: "operations",
    where: [
      ["hasFailed", "==", true],
      ["endTime", ">=", later(round.time, -failureLife)],
    ],
    orderBy: { field: "endTime", direction: "desc" },
    limit: most,
  });
  for (const { data } of failed) {
    const look = await operationLook(data, round);
    if (look.symptoms.length > 0) yield look;
  }
}

/** What is wrong with one Operation. */
export async function operationLook(operation: Operation, round: Round): Promise<Look> {
  const symptom = operation.done ? await failure(operation, round) : await standstill(operation, round);
  return { resource: operation.name, time: round.time, symptoms: symptom === undefined ? [] : [symptom], unread: [] };
}

async function standstill(operation: Operation, { ports, time }: Round): Promise<Symptom | undefined> {
  const { name, deadlineTime, progress } = operation;
  const begin = beginTimeOf(operation);
  if (begin > later(time, -neglect)) return undefined;
  const tasks = await ports.store.query<Task>({ collection: `${name}/tasks`, where: [["done", "==", false]] });
  const signs = tasks.map(({ data }) => latest(begin, data.createTime, data.lease?.expireTime ?? ""));
  const oldest = signs.reduce((one, other) => (other < one ? other : one), time);
  const isNeglected = oldest <= later(time, -neglect);
  const half = Date.parse(begin) + (Date.parse(deadlineTime) - Date.parse(begin)) / 2;
  if (!isNeglected && Date.parse(time) <= half) return undefined;
  const why = isNeglected
    ? `nobody has worked at it since ${oldest}`
    : `half of its time until ${deadlineTime} is over`;
  return {
    kind: "operation-stuck",
    severity: "WARNING",
    message: `${whatOf(operation)} is at ${progress.step}, and ${why}`,
    advice: `See its tasks with valkeep operations describe ${idOf(name)}, and the log of the function that takes its step.`,
  };
}

/** A sweep has no target, nor has a message that nobody can understand. */
const whatOf = ({ verb, target }: Operation): string => (target === "" ? verb : `${verb} of ${target}`);

const latest = (...times: string[]): string => times.reduce((one, other) => (other > one ? other : one));

/** A failure is a finding for a day, or until the same was asked again and ended: the newest speaks for all. */
async function failure(operation: Operation, { ports, time }: Round): Promise<Symptom | undefined> {
  const { verb, target, endTime = "", error, hasFailed } = operation;
  if (!hasFailed || error === undefined || endTime < later(time, -failureLife)) return undefined;
  const since = await ports.store.query<Operation>({
    collection: "operations",
    where: [
      ["verb", "==", verb],
      ["target", "==", target],
      ["endTime", ">", endTime],
    ],
    orderBy: { field: "endTime", direction: "asc" },
    limit: pageSize,
  });
  // A refusal in between changed nothing, nor did a dry run.
  const settles = (other: Operation) =>
    (other.error === undefined || other.hasFailed) && (!isDryRun(other) || isDryRun(operation));
  if (since.some(({ data }) => settles(data))) return undefined;
  return {
    kind: "operation-failed",
    severity: "WARNING",
    message: `${whatOf(operation)} failed: ${error.message} (${error.code})`,
    advice: `Mend what it says, then valkeep operations retry ${idOf(operation.name)}, or ask anew.`,
  };
}

const isDryRun = ({ request }: Operation): boolean => Object(request.data).dryRun === true;
