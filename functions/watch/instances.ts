import type { Instance } from "../../shared/backup/backup.ts";
import type { FindingKind, Look, Symptom } from "../../shared/backup/finding.ts";
import { health, healthKinds } from "../../shared/backup/health.ts";
import { overdue } from "../../shared/backup/objective.ts";
import { shrunken } from "../../shared/backup/shrinkage.ts";
import { asStatusError, StatusError } from "../../shared/error.ts";
import { recentVerified } from "../../shared/pipeline/newest-backup.ts";
import type { Doc, Job, Store } from "../../shared/pipeline/ports.ts";
import { jobKinds, jobSymptoms } from "./jobs.ts";
import { alone, type Round } from "./round.ts";

/** Servers that one round inspects; the next one goes on with the others. */
const inspections = 60;
/** How many of them at a time. */
const width = 6;
/** How long one server may take, in milliseconds. */
const patience = 10_000;

const serverKinds: readonly FindingKind[] = [...healthKinds, "instance-unreachable"];
const ledgerKinds: readonly FindingKind[] = ["backup-overdue", "backup-shrunken", ...jobKinds];

/** What of an instance was found, and what could not be told. */
type Part = Pick<Look, "symptoms" | "unread">;

/**
 * The servers that have waited longest for an inspection, then of every instance its newest backups and its job, from where the
 * last round's time was over. Ends early when the round's is; then the next one begins with what was left.
 */
export async function* instanceLooks(round: Round): AsyncGenerator<Look> {
  yield* serverLooks(round);
  const jobs = await allJobs(round);
  for await (const instances of inTurn(round.ports.store, round.reached)) {
    if (round.signal.aborted) return;
    yield* await Promise.all(instances.map((instance) => ledgerLook(instance, round, jobs)));
    round.reached = instances.at(-1)?.name;
  }
  round.reached = undefined;
}

async function* serverLooks(round: Round): AsyncGenerator<Look> {
  let left = inspections;
  for await (const instances of inTurn(round.ports.store, round.inspected)) {
    if (round.signal.aborted) return;
    const chosen = instances.slice(0, left);
    left -= chosen.length;
    yield* await Promise.all(
      chosen.map(async (instance) => lookOf(instance, round, [await serverPart(instance, round)], ledgerKinds)),
    );
    round.inspected = chosen.at(-1)?.name;
    if (left === 0) return;
  }
}

/** All jobs by their ids; `undefined` while the scheduler does not tell. */
async function allJobs(round: Round): Promise<ReadonlyMap<string, Job> | undefined> {
  const jobs = await alone("jobs", round, () => round.ports.scheduler.list());
  return jobs && new Map(jobs.map((job) => [job.id, job]));
}

/** All instances, some at a time, those behind `last` first. */
async function* inTurn(store: Store, last: string | undefined): AsyncGenerator<Instance[]> {
  const start: Doc | undefined = last === undefined ? undefined : { path: last, data: {}, updateTime: "" };
  for (let after = start, isSecond = last === undefined; ; ) {
    const found: Doc<Instance>[] = await store.query<Instance>({
      collection: "instances",
      limit: width,
      ...(after !== undefined && { after }),
    });
    const page = found.filter(({ path }) => !isSecond || last === undefined || path <= last);
    if (page.length > 0) yield page.map(({ data }) => data);
    after = found.at(-1);
    const isEnd = found.length < width || page.length < found.length;
    if (isEnd && isSecond) return;
    if (isEnd) [after, isSecond] = [undefined, true];
  }
}

async function ledgerLook(instance: Instance, round: Round, jobs: ReadonlyMap<string, Job> | undefined): Promise<Look> {
  const recent = await alone(`backups of ${instance.name}`, round, () => recentVerified(round.ports.store, instance));
  const [newest, ...earlier] = recent ?? [];
  const age = async () => recent && overdue(instance, newest, round.time);
  const loss = async () => recent && (newest === undefined ? [] : shrunken(newest, earlier));
  const job = async () => jobs && (await jobSymptoms(round, instance, jobs));
  const parts = await Promise.all([
    partOf(["backup-overdue"], alone(`objective of ${instance.name}`, round, age)),
    partOf(["backup-shrunken"], loss()),
    partOf(jobKinds, alone(`job of ${instance.name}`, round, job)),
  ]);
  return lookOf(instance, round, parts, serverKinds);
}

/** What some parts come to, while nothing can be said of the `others`. */
function lookOf({ name }: Instance, { time }: Round, parts: readonly Part[], others: readonly FindingKind[]): Look {
  return {
    resource: name,
    time,
    symptoms: parts.flatMap(({ symptoms }) => symptoms),
    unread: [...parts.flatMap(({ unread }) => unread), ...others],
  };
}

/** What is wrong of these kinds; nothing can be said of them where there is no answer. */
async function partOf(
  kinds: readonly FindingKind[],
  answer: Promise<Symptom[] | undefined> | undefined,
): Promise<Part> {
  const symptoms = await answer;
  return symptoms === undefined ? { symptoms: [], unread: kinds } : { symptoms, unread: [] };
}

/** The health of the server; that it does not answer is a symptom of its own, and says nothing of the rest. */
async function serverPart(instance: Instance, round: Round): Promise<Part> {
  try {
    const readings = health(await inspected(instance, round));
    const unread = readings.filter(({ state }) => state === "UNREAD").map(({ kind }) => kind);
    const symptoms = readings.flatMap(({ kind, state, message, advice }): Symptom[] =>
      state === "OK" || state === "UNREAD" ? [] : [{ kind, severity: state, message, advice }],
    );
    return { symptoms, unread };
  } catch (error) {
    if (round.signal.aborted) return await partOf(serverKinds, undefined);
    const { message } = asStatusError(error);
    const advice = `valkeep instances check ${instance.name.slice("instances/".length)} tries it step by step.`;
    const symptom = { kind: "instance-unreachable", severity: "WARNING", message, advice } as const;
    return { symptoms: [symptom], unread: healthKinds };
  }
}

/** A server that stays silent is given up in time. */
async function inspected(instance: Instance, { ports, signal }: Round) {
  const over = new AbortController();
  const answered = new AbortController();
  const late = ports.clock.sleep(patience, AbortSignal.any([answered.signal, signal])).then(() => {
    const error = new StatusError("UNAVAILABLE", `${instance.endpoint} gave no answer within ${patience / 1000} s`);
    over.abort(error);
    throw error;
  });
  try {
    return await Promise.race([ports.valkey.inspect(instance, AbortSignal.any([over.signal, signal])), late]);
  } finally {
    answered.abort();
    await late.catch(() => undefined);
  }
}
