import type { Instance } from "../backup/backup.ts";
import { instanceName } from "../backup/name.ts";
import { StatusError } from "../error.ts";
import type { Change } from "./change.ts";

/** The registered instance of this id; NOT_FOUND says how to register it. */
export async function registered(change: Change, instanceId: string): Promise<Instance> {
  const instance = await change.read<Instance>(instanceName(instanceId));
  if (instance !== undefined) return instance;
  throw new StatusError(
    "NOT_FOUND",
    `${instanceName(instanceId)} is not registered; valkeep instances create ${instanceId} --endpoint=HOST:PORT registers it`,
  );
}
