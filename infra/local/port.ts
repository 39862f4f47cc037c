import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { StatusError } from "../../shared/error.ts";

/**
 * Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152), which come and go, and so are
 * the ports of a cluster's nodes for each other, 10,000 above their own.
 */
const range = { from: 10_000, count: 10_000 };
const blockLength = 200;

/** The first port of a block that is ours alone: we listen on it for as long as we live. */
let block: Promise<number> | undefined;

/** The next one to try in the block. What was answered may not be listened on yet, so the others are answered first. */
let next = 0;

/**
 * A port on 127.0.0.1 that nobody listened on a moment ago: `preferred` if it is one, else any. No other process that asks here is
 * answered the same one, however late it is listened on.
 */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred))) return preferred;
  block ??= takeBlock();
  const first = await block;
  for (let attempt = 1; attempt < blockLength; attempt++) {
    next = (next % (blockLength - 1)) + 1;
    const port = first + next;
    if (await isFree(port)) return port;
  }
  throw noneFree();
}

async function takeBlock(): Promise<number> {
  const count = range.count / blockLength;
  const start = Math.floor(Math.random() * count);
  for (let n = 0; n < count; n++) {
    const first = range.from + ((start + n) % count) * blockLength;
    const server = await listenOn(first);
    if (server === undefined) continue;
    server.unref();
    return first;
  }
  throw noneFree();
}

const noneFree = (): StatusError =>
  new StatusError("RESOURCE_EXHAUSTED", "no free port on 127.0.0.1: end some servers");

async function isFree(port: number): Promise<boolean> {
  const server = await listenOn(port);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

function listenOn(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve(server));
  });
}

/** Where each part of the stack listens if it can. */
export interface PreferredPorts {
  firestore?: number;
  pubsub?: number;
  storage?: number;
  scheduler?: number;
  valkey?: number;
  /** The first function's; the others follow. */
  functions?: number;
}

/**
 * The emulators' ports by firebase.json, which the Firebase CLI reads too, and for everything else, which that file
 * cannot name, the ports behind Pub/Sub's.
 */
export async function preferredPorts(
  file = join(import.meta.dirname, "../../firebase.json"),
): Promise<Required<PreferredPorts>> {
  const { emulators } = JSON.parse(await readFile(file, "utf8")) as { emulators?: Emulators };
  const portOf = (name: "firestore" | "pubsub"): number => {
    const port = emulators?.[name]?.port;
    if (typeof port === "number" && Number.isInteger(port) && port > 0 && port <= 65_500) return port;
    const found = JSON.stringify(port) ?? "nothing";
    throw new StatusError("INVALID_ARGUMENT", `${file}: emulators.${name}.port must be 1 to 65500, found ${found}`);
  };
  const pubsub = portOf("pubsub");
  return {
    firestore: portOf("firestore"),
    pubsub,
    storage: pubsub + 1,
    scheduler: pubsub + 2,
    valkey: pubsub + 3,
    functions: pubsub + 10,
  };
}

type Emulators = Record<string, { port?: unknown } | undefined>;

/**
 * Starts something on its preferred port, or on a free one where that is taken. Another process may take a free port
 * before the server binds it: a start that fails with UNAVAILABLE is tried on another port, twice.
 */
export async function onFreePort<T>(preferred: number | undefined, start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort(attempt === 1 ? preferred : undefined);
    try {
      return await start(port);
    } catch (error) {
      if (attempt === 3 || !(error instanceof StatusError) || error.code !== "UNAVAILABLE") throw error;
    }
  }
}
