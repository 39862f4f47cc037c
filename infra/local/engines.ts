import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { clearFirestore, type Emulator, exportFirestore, startFirestore, startPubsub } from "./emulators.ts";
import type { Parts } from "./parts.ts";
import { onFreePort, type PreferredPorts } from "./port.ts";
import { finishReplacement } from "./replacement.ts";
import { logFile } from "./services.ts";
import { startValkey, type ValkeyServer } from "./valkey-server.ts";

/** What others made: two emulators, and a server to try things on. Each is on its way when this is answered. */
export interface Engines {
  pubsub: Promise<Emulator>;
  firestore: Promise<Emulator>;
  valkey: Promise<ValkeyServer>;
}

export interface EngineOptions {
  directory: string;
  projectId: string;
  fresh: boolean;
  ports: PreferredPorts;
}

/** Starts all three at once; Firestore and Valkey with what they held when they were stopped. */
export function startEngines({ directory, projectId, fresh, ports }: EngineOptions, parts: Parts): Engines {
  const log = (name: string) => ({ logFile: logFile(directory, name) });
  const pubsub = onFreePort(ports.pubsub, (port) => startPubsub({ port, ...log("pubsub") }));
  const firestore = onFreePort(ports.firestore, async (port) => {
    const seed = join(directory, "firestore");
    const isThere = await finishReplacement(seed);
    const emulator = await startFirestore({ port, ...log("firestore"), ...(isThere ? { seedFrom: seed } : {}) });
    if (fresh) await clearFirestore(emulator.host, projectId);
    return emulator;
  });
  return {
    pubsub: parts.add(pubsub),
    firestore: parts.add(firestore),
    valkey: parts.add(startTrial(directory, ports)),
  };
}

/** Saves every minute if anything changed, and when it is stopped. */
async function startTrial(directory: string, ports: PreferredPorts): Promise<ValkeyServer> {
  const data = join(directory, "valkey");
  await mkdir(data, { recursive: true });
  return startValkey({
    directory: data,
    args: ["--save", "60 1"],
    restart: true,
    logFile: logFile(directory, "valkey"),
    ...(ports.valkey === undefined ? {} : { port: ports.valkey }),
  });
}

/** Keeps what Firestore holds for the next start; an emulator that somebody else started keeps its own. */
export async function saveFirestore(firestore: Emulator, projectId: string, directory: string): Promise<void> {
  if (firestore.pid !== undefined) await exportFirestore(firestore.host, projectId, join(directory, "firestore"));
}
