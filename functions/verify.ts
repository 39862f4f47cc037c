import type { Instance } from "../shared/backup/backup.ts";
import { compare, compareFiles, loadedDatabases } from "../shared/backup/comparison.ts";
import type { Operation, RestorePlan } from "../shared/backup/operation.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Valkey } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** Compares the restored instance with what was loaded, and says that it is restored. */
export const verify = step<"verification.v1.requested", RestorePlan>({
  on: "verification.v1.requested",

  async run({ data, operation }, { store, valkey }, signal) {
    const [request, target] = await Promise.all([store.get<Operation>(operation), store.get<Instance>(data.instance)]);
    const plan = request?.data.plan;
    if (plan === undefined || target === undefined)
      throw new StatusError("NOT_FOUND", `${data.instance} or the plan of ${operation} is gone`);
    const complaints = [...compareFiles(plan), ...(await complaintsAbout(target.data, plan, valkey, signal))];
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

/** Counts the target; a cluster of which something seems to be missing once more, when its slots are at rest. */
async function complaintsAbout(
  target: Instance,
  plan: RestorePlan,
  valkey: Valkey,
  signal: AbortSignal,
): Promise<string[]> {
  const complaints = compare(plan, await valkey.describe(target, signal));
  if (complaints.length === 0 || target.mode !== "CLUSTER") return complaints;
  await requireRest(target, valkey, signal);
  return compare(plan, await valkey.describe(target, signal));
}

/** UNAVAILABLE while slots move: their keys are counted at both nodes then, or at none. */
async function requireRest(target: Instance, valkey: Valkey, signal: AbortSignal): Promise<void> {
  await valkey.shardCount(target, signal).catch((cause) => {
    const { code, message } = asStatusError(cause);
    if (code !== "FAILED_PRECONDITION") throw cause;
    throw new StatusError("UNAVAILABLE", `${target.name} cannot be counted yet: ${message}`, { cause });
  });
}
