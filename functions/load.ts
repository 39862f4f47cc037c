import type { Instance } from "../shared/backup/backup.ts";
import type { Operation, PartResult, RestorePart } from "../shared/backup/operation.ts";
import { advanced } from "../shared/backup/restore-plan.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { LoadMark, Ports } from "../shared/pipeline/ports.ts";
import { step, type Work } from "../shared/pipeline/step.ts";
import { afterParts } from "./after-parts.ts";

/**
 * Loads one part of a restore, and goes on from its last mark where an attempt has ended. Its commit asks for the next part of its lane;
 * the one that completes the set for what follows.
 */
export const load = step<"part.v1.requested", PartResult>({
  on: "part.v1.requested",
  goesOn: true,

  async run(work, { store, objects, valkey, clock }, signal) {
    const { part } = work.data;
    const { target, place, file, stretch, keepsExpired } = await partOf(work, store);
    const startOffset = stretch?.startOffset ?? 0;
    const sizeBytes = (stretch?.endOffset ?? file.sizeBytes) - startOffset;
    const source = {
      facts: file,
      ...(stretch && { stretch }),
      // What goes on behind a preamble is no part of the file.
      read: (range: Range, reading: AbortSignal) =>
        objects.read(file, { ...(file.isPreamble && { end: file.sizeBytes }), ...range, fleeting: true }, reading),
    };
    let course = work.resume ?? hasBegun;
    const options = {
      operation: work.operation.slice("operations/".length),
      part,
      epoch: work.epoch,
      // That it has begun is on record before anything is written: one that never came so far has written nothing.
      confirm: async () => {
        work.progress(0, sizeBytes, course);
        await work.renew();
      },
      // What an earlier attempt has written behind its last mark is there.
      replace: work.resume !== undefined,
      now: () => (keepsExpired ? 0 : clock.now()),
      // Each library stands in one stretch of the first file.
      withFunctions: place === 0,
      ...markToGoOnFrom(work.resume, stretch),
      onProgress(mark: LoadMark) {
        course = JSON.stringify(mark);
        work.progress(mark.offset - startOffset, sizeBytes, course);
      },
    };
    const loaded = await valkey.load(target, source, options, signal).catch(async (error) => {
      if (asStatusError(error).code !== "DATA_LOSS") throw error;
      // Its marks lie behind bytes of which nobody knows which were wrong.
      work.progress(0, sizeBytes, hasBegun);
      await work.renew();
      throw damagedOnTheWay(error, work.inVain);
    });
    return { part, ...loaded, sizeBytes };
  },

  async commit({ data: { instance } }, result, change) {
    if (change.operation.plan === undefined) throw new StatusError("ABORTED", `${change.operation.name} has no plan`);
    const { plan, next, isComplete } = advanced(change.operation.plan, result);
    change.operation.plan = plan;
    if (next !== undefined) change.ask("part.v1.requested", { instance, part: next }, next);
    if (isComplete) afterParts(change, instance);
  },
});

/** What the plan says of a part, and where to. */
async function partOf({ operation, data: { instance, part } }: Work<"part.v1.requested">, store: Ports["store"]) {
  const [found, target] = await Promise.all([store.get<Operation>(operation), store.get<Instance>(instance)]);
  const plan = found?.data.plan;
  const { file: place = -1, stretch } = plan?.parts[part] ?? {};
  const file = plan?.files[place];
  if (file === undefined || target === undefined)
    throw new StatusError("NOT_FOUND", `${instance} or part ${part} of ${operation} is gone`);
  // Where commands follow, one of them may have kept a key whose time has passed.
  const keepsExpired = plan?.replays !== undefined && plan.target.suspendsExpiry === true;
  return { target: target.data, place, file, stretch, keepsExpired };
}

type Range = { start: number; end?: number };

/** What an attempt leaves that has no mark yet: it may have written. */
const hasBegun = "begun";

/** The last mark of an earlier attempt; none where it stands at the end of a stretch that was never found whole. */
function markToGoOnFrom(resume: string | undefined, stretch: RestorePart["stretch"]): { from?: LoadMark } {
  if (resume === undefined || resume === hasBegun) return {};
  const from: LoadMark = JSON.parse(resume);
  return from.offset === stretch?.endOffset && from.crc64 !== stretch.crc64.after ? {} : { from };
}

/**
 * The plan has seen this file whole, so damage that is met now was most likely done on the way: it is read again, twice.
 */
function damagedOnTheWay(error: unknown, attempt: number): unknown {
  if (attempt > 2) return error;
  const { message } = asStatusError(error);
  return new StatusError("UNAVAILABLE", `the file arrived damaged, it is read again: ${message}`, { cause: error });
}
