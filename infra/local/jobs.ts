import { CloudSchedulerClient } from "@google-cloud/scheduler";
import { credentials, status } from "@grpc/grpc-js";
import { type EventType, topicOf } from "../../shared/backup/event.ts";

const everyMinute = { id: "tick", type: "tick.v1", cron: "* * * * *", data: {} } as const;

const everyQuarter = { id: "watch", type: "watch.v1", cron: "*/15 * * * *", data: {} } as const;

const sweepCron = "17 * * * *";
const everyHour = {
  id: "sweep",
  type: "sweep.v1.requested",
  cron: sweepCron,
  data: { schedule: { cron: sweepCron, timeZone: "Etc/UTC" } },
} as const satisfies { type: EventType; [rest: string]: unknown };

/** The jobs that every valkeep needs, beside those of its instances. */
export const periodicJobs = [everyMinute, everyHour, everyQuarter];

/** Makes the jobs that every valkeep needs, `valkeep-tick`, `valkeep-sweep` and `valkeep-watch`; what exists is brought up to date. */
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
