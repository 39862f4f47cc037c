import { Storage } from "@google-cloud/storage";
import { topicOf } from "../../shared/backup/route.ts";

export interface Buckets {
  vaultBucket: string;
  inboxBucket: string;
  exportBucket: string;
}

/** What a vault needs, and the other two do not mind: https://cloud.google.com/storage/docs/public-access-prevention */
const protection = {
  iamConfiguration: { publicAccessPrevention: "enforced", uniformBucketLevelAccess: { enabled: true } },
  softDeletePolicy: { retentionDurationSeconds: 604_800 },
};

/**
 * Makes the three buckets in a region, where they do not exist yet, and has the inbox tell `object.v1.finalized` of
 * every file that lands in it.
 */
export async function createBuckets(apiEndpoint: string, projectId: string, location: string): Promise<Buckets> {
  const storage = new Storage({ apiEndpoint, projectId });
  const named = (purpose: string) => storage.bucket(`${projectId}-${purpose}`);
  const [vault, inbox, exports] = [named("vault"), named("inbox"), named("export")];
  await Promise.all(
    [vault, inbox, exports].map(async (bucket) => {
      const [exists] = await bucket.exists();
      if (!exists) await bucket.create({ location: location.toUpperCase(), ...protection });
    }),
  );
  const topic = `projects/${projectId}/topics/${topicOf("object.v1.finalized")}`;
  const [notifications] = await inbox.getNotifications();
  if (notifications.length === 0) await inbox.createNotification(topic, { eventTypes: ["OBJECT_FINALIZE"] });
  return { vaultBucket: vault.name, inboxBucket: inbox.name, exportBucket: exports.name };
}
