import { parseArgs } from "node:util";
import { PubSub } from "@google-cloud/pubsub";
import { startScheduler } from "./server.ts";

/** Cloud Scheduler as a process: `main.ts --directory D --port P --project X`; publishes to PUBSUB_EMULATOR_HOST. */
const { values } = parseArgs({
  options: {
    directory: { type: "string" },
    port: { type: "string", default: "0" },
    project: { type: "string" },
  },
});
const { directory, project } = values;
if (directory === undefined || project === undefined || !process.env.PUBSUB_EMULATOR_HOST) {
  console.error("usage: PUBSUB_EMULATOR_HOST=HOST:PORT main.ts --directory DIR --project PROJECT [--port PORT]");
  process.exit(2);
}

const pubsub = new PubSub({ projectId: project });
const scheduler = await startScheduler({
  directory,
  port: Number(values.port),
  projectId: project,
  async publish({ topicName, data, attributes }) {
    await pubsub
      .topic(topicName, { batching: { maxMessages: 1 } })
      .publishMessage({ data: Buffer.from(data, "base64"), attributes });
  },
});
process.once("SIGTERM", () => {
  void scheduler.stop().then(() => process.exit(0));
});
console.log(`scheduler ready ${scheduler.host}`);
