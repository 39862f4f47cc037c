import { copyRetentionSeconds, type ExportPolicyFlags } from "../../../shared/backup/export-policy.ts";
import { bucketOf } from "../../../shared/backup/name.ts";
import type { Flag } from "../command.ts";

/** How long a copy is kept, as the verbs that ask for copies take it. */
export function readCopyRetention(text: string): string {
  copyRetentionSeconds(text);
  return text;
}

/** Which automated backups are copied out, and where to. */
export const exportFlags = {
  "export-policy": {
    type: "string",
    value: "FREQUENCY",
    help: "copy automated backups out: every, or the first of each ISO week (weekly) or month (monthly)",
  },
  "export-gcs-bucket": {
    type: "string",
    value: "BUCKET",
    help: "to this bucket of your own, in the instance's region",
    read: bucketOf,
  },
  "export-retention": {
    type: "string",
    value: "TIME",
    help: "how long a copy is kept there, 1d to 36500d; for ever where absent",
    read: readCopyRetention,
  },
  "export-onward-gcs-bucket": {
    type: "string",
    value: "BUCKET",
    help: "and from there to this one, in any region",
    read: bucketOf,
  },
  "export-onward-retention": {
    type: "string",
    value: "TIME",
    help: "how long a copy is kept there; for ever where absent",
    read: readCopyRetention,
  },
  "export-time-zone": {
    type: "string",
    value: "ZONE",
    help: "where weeks and months begin, such as Asia/Tokyo; UTC where absent",
  },
  "no-export-policy": { type: "boolean", help: "copy nothing out any more; the copies stay" },
} as const satisfies Record<string, Flag>;

type Given = {
  [K in keyof typeof exportFlags]: ((typeof exportFlags)[K]["type"] extends "boolean" ? boolean : string) | undefined;
};

/** The flags as the model takes them. */
export const exportSettingsOf = (flags: Given): ExportPolicyFlags => ({
  frequency: flags["export-policy"],
  timeZone: flags["export-time-zone"],
  gcsBucket: flags["export-gcs-bucket"],
  retention: flags["export-retention"],
  onwardGcsBucket: flags["export-onward-gcs-bucket"],
  onwardRetention: flags["export-onward-retention"],
  isCleared: flags["no-export-policy"],
});
