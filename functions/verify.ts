import type { Instance } from "../shared/backup/backup.ts";
import { compare, compareFiles, loadedDatabases } from "../shared/backup/comparison.ts";
import type { Operation, RestorePlan } from "../shared/backup/operation.ts";
import { StatusError } from "../shared/error.ts";
import { step } from "../shared/pipeline/step.ts";

/** Compares the restored instance with what was loaded, and says that it is restored. */
export const verify = step<"verification.v1.requested", RestorePlan>({
  on: "verification.v1.requested",

  async run({ data, operation }, { store, valkey }, signal) {
    const [request, target] = await Promise.all([store.get<Operation>(operation), store.get<Instance>(data.instance)]);
    const plan = request?.data.plan;
    if (plan === undefined || target === undefined)
      throw new StatusError("NOT_FOUND", `${data.instance} or the plan of ${operation} is gone`);
    const complaints = [...compareFiles(plan), ...compare(plan, await valkey.describe(target.data, signal))];
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
