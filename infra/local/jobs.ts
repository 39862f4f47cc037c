import { CloudSchedulerClient } from "@google-cloud/scheduler";
import { credentials, status } from "@grpc/grpc-js";
import type { EventType } from "../../shared/backup/event.ts";
import { topicOf } from "../../shared/backup/route.ts";

/** A job whose message tells its slot, so that firing twice asks once. */
const slotted = (id: string, type: EventType, cron: string) => ({
  id,
  type,
  cron,
  data: { schedule: { cron, timeZone: "Etc/UTC" } },
});

/**
 * The jobs that every valkeep needs, beside those of its instances. Reconciliation keeps away from the minutes at which
 * schedules usually come due: what is due right then is not missed yet.
 */
export const periodicJobs: { id: string; type: EventType; cron: string; data: object }[] = [
  { id: "tick", type: "tick.v1", cron: "* * * * *", data: {} },
  { id: "watch", type: "watch.v1", cron: "*/15 * * * *", data: {} },
  slotted("sweep", "sweep.v1.requested", "17 * * * *"),
  slotted("reconciliation", "reconciliation.v1.requested", "13,43 * * * *"),
];

/** Makes the jobs that every valkeep needs, `valkeep-tick` and the others above; what exists is brought up to date. */
export async function createJobs(host: string, projectId: string, location: string): Promise<void> {
  const [apiEndpoint = "", port] = host.split(":");
  const client = new CloudSchedulerClient({
    apiEndpoint,
    port: Number(port),
    sslCreds: credentials.createInsecure(),
    projectId,
  });
  const parent = client.locationPath(projectId, location);
  try {
    await Promise.all(
      periodicJobs.map(async ({ id, type, cron, data }) => {
        const job = {
          name: `${parent}/jobs/valkeep-${id}`,
          schedule: cron,
          timeZone: "Etc/UTC",
          pubsubTarget: {
            topicName: `projects/${projectId}/topics/${topicOf(type)}`,
            data: Buffer.from(JSON.stringify(data)),
          },
        };
        await client.createJob({ parent, job }).catch(async (error: { code?: unknown }) => {
          if (error.code !== status.ALREADY_EXISTS) throw error;
          await bringUpToDate(client, job);
        });
      }),
    );
  } finally {
    await client.close();
  }
}

/** Only where it differs: an update forgets that a job came due while nothing ran. */
async function bringUpToDate(client: CloudSchedulerClient, job: Job): Promise<void> {
  const [found] = await client.getJob({ name: job.name });
  const isSame =
    found.schedule === job.schedule &&
    found.pubsubTarget?.topicName === job.pubsubTarget.topicName &&
    job.pubsubTarget.data.equals(Buffer.from(found.pubsubTarget.data ?? ""));
  if (!isSame) await client.updateJob({ job, updateMask: { paths: ["schedule", "time_zone", "pubsub_target"] } });
}

interface Job {
  name: string;
  schedule: string;
  timeZone: string;
  pubsubTarget: { topicName: string; data: Buffer };
}
