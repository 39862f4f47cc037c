import { routes } from "../../shared/backup/route.ts";
import { createBuckets } from "./buckets.ts";
import type { Emulator } from "./emulators.ts";
import { startEngines } from "./engines.ts";
import { localLocation, stackEnvironment } from "./environment.ts";
import { createJobs } from "./jobs.ts";
import { endLeasesAt } from "./lease.ts";
import { createMessaging } from "./messaging.ts";
import type { Parts } from "./parts.ts";
import { freePort, type PreferredPorts, preferredPorts } from "./port.ts";
import type { RunningProcess } from "./process.ts";
import { type Service, startFunctions, startService } from "./services.ts";
import type { StackFile } from "./stack-file.ts";
import type { ValkeyServer } from "./valkey-server.ts";

export interface Settings {
  directory: string;
  fresh: boolean;
  functions: boolean;
  source: string | undefined;
  isolate: boolean;
  usualPorts: boolean;
  environment: Record<string, string>;
  report: (line: string) => void;
}

/** The running parts of a stack, and what is told about them. */
export interface Assembly {
  pubsub: Emulator;
  firestore: Emulator;
  valkey: ValkeyServer;
  storage: Service;
  scheduler: Service;
  functions: RunningProcess[];
  stack: StackFile;
  environment: Record<string, string>;
}

export const projectId = "valkeep-local";

/**
 * Starts every part and brings them together. Pub/Sub has its topics and subscriptions before anything can publish:
 * what a due job or an uploaded file says while the functions still start is then pushed to them again, not lost.
 */
export async function assemble(settings: Settings, parts: Parts): Promise<Assembly> {
  const { directory, fresh, source, isolate, report } = settings;
  // Google's libraries would look for a metadata server, for two seconds, in this process too.
  process.env.METADATA_SERVER_DETECTION ??= "none";
  const ports: PreferredPorts = settings.usualPorts ? await preferredPorts() : {};
  const engines = startEngines({ directory, projectId, fresh, ports }, parts);
  const functionPorts = settings.functions ? await portsOfFunctions(ports) : {};
  const functions = urlsOf(functionPorts);

  const pubsub = await engines.pubsub;
  await createMessaging({ projectId, host: pubsub.host, functions });
  report(`Pub/Sub at ${pubsub.host}`);

  // It would change the paths that the storage library asks for.
  const { STORAGE_EMULATOR_HOST: _, ...inherited } = process.env;
  const environment = { ...inherited, PUBSUB_EMULATOR_HOST: pubsub.host };
  const ours = { directory, projectId, environment, report };
  const [storage, scheduler, firestore, valkey] = await Promise.all([
    parts.add(startService("storage", ours, ports.storage)),
    parts.add(startService("scheduler", ours, ports.scheduler)),
    engines.firestore,
    engines.valkey,
  ]);
  report(`Firestore at ${firestore.host}`);
  report(`Cloud Storage at ${storage.host}`);
  report(`Cloud Scheduler at ${scheduler.host}`);
  report(`${valkey.name} ${valkey.version} to try things on at ${valkey.endpoint}`);

  const apiEndpoint = `http://${storage.host}`;
  // Where somebody else started the emulator, functions of theirs may be at work.
  const hasOnlyOurs = firestore.pid !== undefined;
  const [buckets] = await Promise.all([
    createBuckets(apiEndpoint, projectId, localLocation),
    settings.functions && hasOnlyOurs && !fresh ? endLeasesAt(firestore.host, projectId) : undefined,
  ]);
  const places = {
    projectId,
    storage: { apiEndpoint, ...buckets },
    firestore: { host: firestore.host },
    pubsub: { host: pubsub.host },
    scheduler: { host: scheduler.host },
  };
  const added = { ...stackEnvironment(places, directory), ...settings.environment };
  const host = { directory, environment: { ...inherited, ...added }, ports: functionPorts, source, isolate, report };
  const [hosts] = await Promise.all([
    settings.functions ? startFunctions(host, parts) : [],
    createJobs(scheduler.host, projectId, localLocation),
  ]);
  if (settings.functions) report(`functions ${Object.keys(functions).join(", ")}`);
  const { endpoint, name, version } = valkey;
  const stack = { ...places, valkey: { endpoint, name, version }, functions, pid: process.pid };
  return { pubsub, firestore, valkey, storage, scheduler, functions: hosts, stack, environment: added };
}

async function portsOfFunctions(ports: PreferredPorts): Promise<Record<string, number>> {
  const pairs = Object.keys(routes).map(async (name, index) => {
    const preferred = ports.functions === undefined ? undefined : ports.functions + index;
    return [name, await freePort(preferred)] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}

function urlsOf(ports: Record<string, number>): Record<string, string> {
  return Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, `http://127.0.0.1:${port}`]));
}
