import { parseObjectUri, requestIdOf } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command, requestIdFlag } from "../command.ts";
import { conclude } from "../conclude.ts";
import { readBackupName } from "../names.ts";

export const exportBackup = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {
    "gcs-bucket": {
      type: "string",
      value: "BUCKET",
      help: "in the backup's region; its name, without gs:// and without a prefix",
      isRequired: true,
      read: readBucket,
    },
    "request-id": { ...requestIdFlag["request-id"], read: requestIdOf },
    ...asyncFlag,
  },
  example: "valkeep backups export orders/before-release --gcs-bucket=my-exports",

  async run({ positionals: { "INSTANCE/BACKUP": backup }, flags }, session) {
    const { ports } = await session.connect();
    const { "gcs-bucket": gcsBucket, "request-id": requestId } = flags;
    const data = { backup, gcsBucket, ...(requestId !== undefined && { requestId }) };
    return await conclude(await submit(ports, "export.v1.requested", data), flags.async, ports, session);
  },
});

function readBucket(text: string): string {
  if (text.includes("/"))
    throw new StatusError(
      "INVALID_ARGUMENT",
      `malformed bucket ${JSON.stringify(text.slice(0, 80))}: expected a bare name`,
    );
  return parseObjectUri(`gs://${text}/any`).bucket;
}
