import { join } from "node:path";
import type { StackFile } from "./stack-file.ts";

/** The region of everything on the local stack: buckets, jobs, and instances where nothing else is said. */
export const localLocation = "asia-northeast1";

/** Everything of a stack that its functions, or a command that works on it, learn from their environment. */
export type Places = Omit<StackFile, "functions" | "valkey" | "pid">;

/** The environment variables by which the code finds the local stack instead of Google's services. */
export function stackEnvironment(places: Places, directory: string): Record<string, string> {
  return {
    GOOGLE_CLOUD_PROJECT: places.projectId,
    FIRESTORE_EMULATOR_HOST: places.firestore.host,
    PUBSUB_EMULATOR_HOST: places.pubsub.host,
    VALKEEP_STORAGE_ENDPOINT: places.storage.apiEndpoint,
    VALKEEP_SCHEDULER_ENDPOINT: places.scheduler.host,
    VALKEEP_VAULT_BUCKET: places.storage.vaultBucket,
    VALKEEP_INBOX_BUCKET: places.storage.inboxBucket,
    VALKEEP_LOCATION: localLocation,
    VALKEEP_SECRETS_DIR: join(directory, "secrets"),
    VALKEEP_LOCAL: "1",
    // Google's libraries would look for a metadata server, for two seconds.
    METADATA_SERVER_DETECTION: "none",
  };
}
