import { PubSub } from "@google-cloud/pubsub";
import { newParts } from "../../infra/local/parts.ts";
import { freePort } from "../../infra/local/port.ts";
import { startFunctions } from "../../infra/local/services.ts";
import type { Task } from "../../shared/backup/operation.ts";
import { topicOf } from "../../shared/backup/route.ts";
import type { Doc } from "../../shared/pipeline/ports.ts";
import { peakOf } from "./peak.ts";
import { say } from "./say.ts";
import type { Site } from "./site.ts";

/** Instances of the function `load` side by side, as Cloud Run starts them for messages that come at once: a process and a URL each. */
export interface LoadInstances {
  /** Posts the Tasks' messages all at once to so many of them, one after the other in turn, and settles when all are acknowledged. */
  deliver(tasks: readonly Doc<Task>[], among: number): Promise<void>;
  /** The most memory that any of them has ever had. */
  peakBytes(): number;
  stop(): Promise<void>;
}

const topic = topicOf("part.v1.requested");

/**
 * Starts so many of them, which wait as instances do that have been started already. From now on the site's Pub/Sub delivers no
 * parts: its emulator would push two at a time, wherever they go.
 */
export async function startLoadInstances(site: Site, count: number): Promise<LoadInstances> {
  const { stack, environment, directory } = site.stack;
  const { projectId } = stack;
  const pubsub = new PubSub({ projectId, apiEndpoint: stack.pubsub.host, emulatorMode: true });
  await pubsub.subscription(`${topic}.load`).delete();
  await pubsub.close();
  const parts = newParts();
  const start = async () => {
    const port = await freePort();
    const options = { directory, environment: { ...process.env, ...environment }, ports: { load: port } };
    const [host] = await startFunctions({ ...options, source: undefined, isolate: true, report: say }, parts);
    return { url: `http://127.0.0.1:${port}/projects/${projectId}/topics/${topic}`, host };
  };
  const instances = await Promise.all(Array.from({ length: count }, start)).catch(async (error) => {
    await parts.stopAll();
    throw error;
  });
  return {
    async deliver(tasks, among) {
      if (among > count) throw new Error(`there are ${count} instances of load, expected ${among}`);
      await Promise.all(tasks.map((task, n) => post(instances[n % among]?.url ?? "", pushOf(task, projectId))));
    },
    peakBytes: () => Math.max(...instances.map(({ host }) => peakOf(host?.pid) ?? 0)),
    stop: () => parts.stopAll(),
  };
}

/** A message as Pub/Sub pushes it. https://cloud.google.com/pubsub/docs/push#receive_push */
function pushOf({ path, data: { type, data, createTime } }: Doc<Task>, projectId: string): object {
  const [, operation = "", , task = ""] = path.split("/");
  const attributes = { operation, task, type };
  const bytes = Buffer.from(JSON.stringify(data)).toString("base64");
  return {
    subscription: `projects/${projectId}/subscriptions/${topic}.load`,
    message: { data: bytes, attributes, messageId: `${operation}.${task}`, publishTime: createTime },
  };
}

async function post(url: string, body: object): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`load answered ${response.status}: ${await response.text()}`);
}
