import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { localLocation } from "../../infra/local/environment.ts";
import { type Stack, startStack } from "../../infra/local/stack.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import type { EventMap, EventType } from "../../shared/backup/event.ts";
import { type InstanceFlags, newInstance } from "../../shared/backup/instance.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { peakOf } from "./peak.ts";
import { say } from "./say.ts";

/** A local stack, and how the bench acts on it. */
export interface Site {
  stack: Stack;
  ports: Ports;
  exportBucket: string;
  /** Puts down an instance. */
  register(id: string, endpoint: string, flags?: InstanceFlags): Promise<void>;
  /** Waits for the end of the Operation, and throws what went wrong in it. */
  ended(operation: string): Promise<Operation>;
  /** Asks, and waits for the end. */
  done<T extends EventType>(type: T, data: EventMap[T]): Promise<Operation>;
  /** A backup; answers its name. */
  backup(instance: string): Promise<string>;
  /** Removes a backup's files from the vault, to make room. */
  discard(backup: string): Promise<void>;
  /** Starts every function's process anew. */
  renew(): Promise<void>;
  /** The peak of each function's resident memory since then, by the function's name: of a site that is `isolate`. */
  peaks(): Record<string, number>;
  stop(): Promise<void>;
}

export interface SiteOptions {
  /** A process for each function. */
  isolate?: boolean;
  /** How far apart the places are where files can be cut; the functions' own where absent. */
  borderBytes?: number;
}

/** Starts it in this directory. */
export async function startSite(directory: string, { isolate = false, borderBytes }: SiteOptions): Promise<Site> {
  const environment = borderBytes === undefined ? {} : { VALKEEP_BORDER_BYTES: String(borderBytes) };
  const stack = await startStack({ directory, fresh: true, isolate, environment });
  const renewed = { pids: hostsOf(stack) };
  try {
    // Read by Google's libraries when they are loaded.
    Object.assign(process.env, stack.environment);
    const { createPorts } = await import("../../shared/google.ts");
    const { readConfig } = await import("../../shared/config.ts");
    const ports = createPorts(readConfig(process.env));
    const site: Site = {
      stack,
      ports,
      exportBucket: stack.stack.storage.exportBucket,
      async register(id, endpoint, flags = {}) {
        const instance = newInstance(
          { ...flags, id, endpoint, location: localLocation },
          ports.ids.uuid(),
          timeOf(Date.now()),
        );
        await ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
      },
      ended: (operation) => ended(ports, operation),
      done: async (type, data) => await ended(ports, await submit(ports, type, data)),
      async backup(instance) {
        return String((await site.done("backup.v1.requested", { instance })).response?.backup);
      },
      async discard(backup) {
        const { vaultBucket } = ports.settings;
        for await (const object of ports.objects.list(vaultBucket, `${backup}/`)) await ports.objects.remove(object);
      },
      async renew() {
        const old = renewed.pids;
        stack.killFunctions();
        await Promise.all(Object.values(stack.stack.functions).map(answers));
        renewed.pids = hostsOf(stack);
        for (const [name, pid] of Object.entries(renewed.pids))
          if (pid === undefined || pid === old[name]) throw new Error(`${name} was not started anew`);
      },
      peaks() {
        const now = hostsOf(stack);
        return Object.fromEntries(
          Object.entries(renewed.pids).map(([name, pid]) => {
            const peak = peakOf(pid);
            if (peak === undefined || now[name] !== pid) throw new Error(`the function ${name} ended meanwhile`);
            return [name, peak];
          }),
        );
      },
      async stop() {
        await stack.stop();
        // The next one is elsewhere.
        for (const name of Object.keys(stack.environment)) delete process.env[name];
      },
    };
    // The first delivery to each function opens its connections.
    await site.register("warm", stack.stack.valkey.endpoint);
    await site.backup("warm");
    say(`the local stack is ready${isolate ? ", a process for each function" : ""}`);
    return site;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

function hostsOf(stack: Stack): Record<string, number | undefined> {
  const prefix = "functions-";
  const hosts = Object.entries(stack.pids()).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(hosts.map(([name, pid]) => [name.slice(prefix.length), pid]));
}

async function ended(ports: Ports, name: string): Promise<Operation> {
  for (;;) {
    const operation = (await ports.store.get<Operation>(name))?.data;
    if (operation?.error !== undefined) throw new Error(`${name}: ${operation.error.message}`);
    if (operation?.done === true) return operation;
    await sleep(50);
  }
}

/** Waits until somebody listens again. */
async function answers(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  // The one that was killed may still be there for a moment.
  await sleep(1_000);
  for (;;) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname, () => resolve(true));
      socket.once("error", () => resolve(false)).once("connect", () => socket.destroy());
    });
    if (isThere) return;
    await sleep(50);
  }
}
