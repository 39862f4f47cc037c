import type { Instance } from "../shared/backup/backup.ts";
import { compare, compareFiles, loadedDatabases } from "../shared/backup/comparison.ts";
import type { Operation, RestorePlan } from "../shared/backup/operation.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Ports, Server } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Compares the restored instance with what was loaded, and says that it is restored. */
export const verify = step<"verification.v1.requested", RestorePlan>({
  on: "verification.v1.requested",

  async run({ data, operation }, { store, valkey }, signal) {
    const [request, target] = await Promise.all([store.get<Operation>(operation), store.get<Instance>(data.instance)]);
    const plan = request?.data.plan;
    if (plan === undefined || target === undefined)
      throw new StatusError("NOT_FOUND", `${data.instance} or the plan of ${operation} is gone`);
    const complaints = [...compareFiles(plan), ...compare(plan, await countAtRest(target.data, valkey, signal))];
    if (complaints.length > 0)
      throw new StatusError(
        "DATA_LOSS",
        `${data.instance} is not as it was restored: ${complaints.join("; ")}. Empty it and restore again`,
      );
    return plan;
  },

  async commit({ data: { instance } }, plan, change) {
    const sum = (of: (file: RestorePlan["loaded"][number]) => number): number =>
      plan.loaded.reduce((total, file) => total + of(file), 0);
    const keys = Object.values(loadedDatabases(plan)).reduce((total, database) => total + database.keys, 0);
    change.say("instance.v1.restored", { instance, source: plan.source });
    const response = {
      instance,
      keys,
      expiredKeys: sum((file) => file.expiredKeys),
      functions: sum((file) => file.functions),
      sizeBytes: sum((file) => file.sizeBytes),
    };
    await change.end({ response });
  },
});

/** What the target holds. UNAVAILABLE while slots of a cluster move: a key on its way is counted twice, or at neither node. */
async function countAtRest(target: Instance, valkey: Ports["valkey"], signal: AbortSignal): Promise<Server> {
  await requireRest(target, valkey, signal);
  const server = await valkey.describe(target, signal);
  await requireRest(target, valkey, signal);
  return server;
}

async function requireRest(target: Instance, valkey: Ports["valkey"], signal: AbortSignal): Promise<void> {
  if (target.mode !== "CLUSTER") return;
  try {
    await valkey.shardCount(target, signal);
  } catch (error) {
    const { code, message } = asStatusError(error);
    if (code !== "FAILED_PRECONDITION") throw error;
    throw new StatusError("UNAVAILABLE", `${target.name} cannot be counted now: ${message}`, { cause: error });
  }
}
