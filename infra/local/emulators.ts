import { basename, dirname, join } from "node:path";
import { StatusError } from "../../shared/error.ts";
import { findJar, findJava } from "./java.ts";
import { startProcess } from "./process.ts";
import { replaceFolder } from "./replacement.ts";

export interface EmulatorOptions {
  port: number;
  logFile?: string;
}

export interface Emulator {
  /** "127.0.0.1:PORT", as the client libraries want it in FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST. */
  host: string;
  /** `undefined` for one that somebody else started. */
  pid: number | undefined;
  /** Stops what was started here; an emulator named by the environment goes on. */
  stop(): Promise<void>;
  /** Resolves when what was started here has ended, asked or not. What it held in memory is gone then. */
  readonly ended: Promise<void>;
}

const firestoreJar = {
  name: "Firestore",
  component: "cloud-firestore-emulator",
  sdk: { folder: "platform/cloud-firestore-emulator", pattern: /^cloud-firestore-emulator.*\.jar$/ },
  firebase: { pattern: /^cloud-firestore-emulator-v.*\.jar$/ },
  setup: "setup:emulators:firestore",
};

const pubsubJar = {
  name: "Pub/Sub",
  component: "pubsub-emulator",
  sdk: { folder: "platform/pubsub-emulator/lib", pattern: /^cloud-pubsub-emulator-.*-all\.jar$/ },
  firebase: {
    folder: /^pubsub-emulator-[\d.]+$/,
    under: "pubsub-emulator/lib",
    pattern: /^cloud-pubsub-emulator-.*-all\.jar$/,
  },
  setup: "setup:emulators:pubsub",
};

/**
 * Google's Firestore emulator, or the one that FIRESTORE_EMULATOR_HOST names. It keeps everything in memory;
 * `seedFrom` is a folder that {@link exportFirestore} wrote.
 */
export async function startFirestore(options: EmulatorOptions & { seedFrom?: string }): Promise<Emulator> {
  const named = process.env.FIRESTORE_EMULATOR_HOST;
  if (named) return theirs("FIRESTORE_EMULATOR_HOST", named);
  const [java, jar] = await Promise.all([findJava(), findJar(firestoreJar)]);
  const memory = ["-Duser.language=en", "-Xmx512m", ...quickStart];
  const main = ["-cp", jar, "com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"];
  const flags = ["--host=127.0.0.1", `--port=${options.port}`];
  if (options.seedFrom !== undefined) flags.push(`--seed_from_export=${metadataFile(options.seedFrom)}`);
  return ours("the Firestore emulator", [java, ...memory, ...main, ...flags], options);
}

/** Google's Pub/Sub emulator, or the one that PUBSUB_EMULATOR_HOST names. It forgets everything when it ends. */
export async function startPubsub(options: EmulatorOptions): Promise<Emulator> {
  const named = process.env.PUBSUB_EMULATOR_HOST;
  if (named) return theirs("PUBSUB_EMULATOR_HOST", named);
  const [java, jar] = await Promise.all([findJava(), findJar(pubsubJar)]);
  const flags = ["--host=127.0.0.1", `--port=${options.port}`];
  return ours("the Pub/Sub emulator", [java, "-Xmx512m", ...quickStart, "-jar", jar, ...flags], options);
}

/** Writes all documents into `folder`, whole or not at all; `startFirestore({ seedFrom: folder })` reads them. */
export async function exportFirestore(host: string, projectId: string, folder: string): Promise<void> {
  await replaceFolder(folder, async (draft) => {
    const response = await fetch(`http://${host}/emulator/v1/projects/${projectId}:export`, {
      method: "POST",
      signal: AbortSignal.timeout(5_000),
      headers: { authorization: "Bearer owner", "content-type": "application/json" },
      body: JSON.stringify({
        database: `projects/${projectId}/databases/(default)`,
        export_directory: dirname(draft),
        export_name: basename(draft),
      }),
    });
    if (response.ok) return;
    const said = (await response.text()).slice(0, 500);
    throw new StatusError(
      "INTERNAL",
      `the Firestore emulator's export to ${folder} failed with ${response.status}: ${said}`,
    );
  });
}

/** Removes all documents of the project. */
export async function clearFirestore(host: string, projectId: string): Promise<void> {
  const url = `http://${host}/emulator/v1/projects/${projectId}/databases/(default)/documents`;
  const response = await fetch(url, { method: "DELETE", headers: { authorization: "Bearer owner" } });
  if (!response.ok) throw new StatusError("INTERNAL", `clearing Firestore at ${host} failed with ${response.status}`);
}

/** The emulator names this file after the export's first folder name, whatever the folder is called later. */
function metadataFile(folder: string): string {
  return join(folder, `${basename(folder)}.new.overall_export_metadata`);
}

/** A short life: the first compiler is enough, and one collector thread. */
const quickStart = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"];

async function ours(name: string, command: string[], { port, logFile }: EmulatorOptions): Promise<Emulator> {
  const host = `127.0.0.1:${port}`;
  const running = await startProcess({
    name,
    command,
    ready: () => answers(host),
    stopTimeoutMs: 2_000,
    ...(logFile === undefined ? {} : { logFile }),
  });
  return { host, pid: running.pid, stop: () => running.stop(), ended: running.ended };
}

async function theirs(variable: string, host: string): Promise<Emulator> {
  if (await answers(host).catch(() => false))
    return { host, pid: undefined, stop: async () => undefined, ended: new Promise(() => undefined) };
  throw new StatusError(
    "UNAVAILABLE",
    `${variable} is ${host}, and nothing answers there: start it or unset ${variable}`,
  );
}

/** Both answer GET / with 200 and "Ok". */
async function answers(host: string): Promise<boolean> {
  const response = await fetch(`http://${host}/`, { signal: AbortSignal.timeout(2_000) });
  return response.ok;
}
