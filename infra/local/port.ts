import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { StatusError } from "../../shared/error.ts";

/** Below the ports that systems give to outgoing connections (Linux from 32768, others from 49152), which come and go. */
const range = { from: 20_000, count: 12_000 };

/** The next one to try. What was answered may not be listened on yet, so it is not answered again for a long while; and others begin elsewhere. */
let next = Math.floor(Math.random() * range.count);

/** A port on 127.0.0.1 that nobody listened on a moment ago: `preferred` if it is one, else any. */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await tryPort(preferred)) !== undefined) return preferred;
  for (let attempt = 0; attempt < 100; attempt++) {
    next = (next + 1) % range.count;
    const port = await tryPort(range.from + next);
    if (port !== undefined) return port;
  }
  throw new StatusError("RESOURCE_EXHAUSTED", "no free port on 127.0.0.1: end some servers");
}

function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      const found = typeof address === "object" && address !== null ? address.port : undefined;
      server.close(() => resolve(found));
    });
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
