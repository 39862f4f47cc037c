import type { Instance } from "../shared/backup/backup.ts";
import type { Operation, PartResult } from "../shared/backup/operation.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { LoadMark } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Loads one part of a restore; the one that completes the set asks for verification. */
export const load = step<"part.v1.requested", PartResult>({
  on: "part.v1.requested",

  async run(work, { store, objects, valkey, clock }, signal) {
    const { instance, part } = work.data;
    const [operation, target] = await Promise.all([
      store.get<Operation>(work.operation),
      store.get<Instance>(instance),
    ]);
    const file = operation?.data.plan?.files[part];
    if (file === undefined || target === undefined)
      throw new StatusError("NOT_FOUND", `${instance} or part ${part} of ${work.operation} is gone`);
    const source = { facts: file, read: (range: Range, reading: AbortSignal) => objects.read(file, range, reading) };
    const options = {
      operation: work.operation.slice("operations/".length),
      part,
      epoch: work.epoch,
      confirm: () => work.renew(),
      replace: work.attempt > 1,
      now: () => clock.now(),
      withFunctions: part === 0,
      onProgress: ({ offset }: LoadMark) => work.progress(offset, file.sizeBytes),
    };
    const loaded = await valkey.load(target.data, source, options, signal).catch((error) => {
      throw damagedOnTheWay(error, work.attempt);
    });
    return { part, ...loaded, sizeBytes: file.sizeBytes };
  },

  async commit({ data: { instance } }, result, change) {
    const { plan } = change.operation;
    if (plan === undefined) throw new StatusError("ABORTED", `${change.operation.name} has no plan`);
    plan.loaded = [...plan.loaded.filter(({ part }) => part !== result.part), result];
    if (plan.loaded.length === plan.files.length) change.ask("verification.v1.requested", { instance });
  },
});

type Range = { start: number; end?: number };

/**
 * The plan has seen this file whole, so damage that is met now was most likely done on the way: it is read again, twice.
 */
function damagedOnTheWay(error: unknown, attempt: number): unknown {
  const { code, message } = asStatusError(error);
  if (code !== "DATA_LOSS" || attempt > 2) return error;
  return new StatusError("UNAVAILABLE", `the file arrived damaged, it is read again: ${message}`, { cause: error });
}
