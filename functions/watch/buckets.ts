import type { Look, Symptom } from "../../shared/backup/finding.ts";
import { asStatusError } from "../../shared/error.ts";
import type { BucketInfo } from "../../shared/pipeline/ports.ts";
import type { Round } from "./round.ts";

/** The vault and the inbox: whether they are there, and as protected as they should be. */
export async function* bucketLooks({ ports, time }: Round): AsyncGenerator<Look> {
  const { vaultBucket, inboxBucket } = ports.settings;
  for (const bucket of [vaultBucket, inboxBucket]) {
    const found = await ports.objects.describe(bucket).catch(unlessMissing);
    const symptoms = found === undefined ? [missing(bucket)] : weaknesses(bucket, found, bucket === vaultBucket);
    yield { resource: `buckets/${bucket}`, time, symptoms, unread: [] };
  }
}

function unlessMissing(error: unknown): undefined {
  if (asStatusError(error).code !== "NOT_FOUND") throw error;
}

const missing = (bucket: string): Symptom => ({
  kind: "bucket-missing",
  severity: "CRITICAL",
  message: `gs://${bucket} does not exist`,
  advice: "Restore it from its soft delete, or create it anew.",
});

function weaknesses(bucket: string, { protection }: BucketInfo, isVault: boolean): Symptom[] {
  const { publicAccessPrevention, uniformBucketLevelAccess, versioning, softDeleteSeconds, retentionSeconds } =
    protection;
  const symptoms: Symptom[] = [];
  if (publicAccessPrevention !== "enforced")
    symptoms.push({
      kind: "bucket-public",
      severity: "WARNING",
      message: `gs://${bucket} does not enforce public access prevention: a slip of a policy could publish what is in it`,
      advice: `gcloud storage buckets update gs://${bucket} --public-access-prevention.`,
    });
  if (!uniformBucketLevelAccess)
    symptoms.push({
      kind: "bucket-acl",
      severity: "WARNING",
      message: `gs://${bucket} has no uniform bucket-level access: lists on single objects may grant what IAM does not`,
      advice: `gcloud storage buckets update gs://${bucket} --uniform-bucket-level-access.`,
    });
  if (isVault && !versioning && softDeleteSeconds === 0 && retentionSeconds === 0)
    symptoms.push({
      kind: "bucket-unprotected",
      severity: "WARNING",
      message: `gs://${bucket} has neither soft delete nor versioning nor a retention policy: what is deleted there is gone`,
      advice: `gcloud storage buckets update gs://${bucket} --soft-delete-duration=7d.`,
    });
  return symptoms;
}
