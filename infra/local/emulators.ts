import { basename, dirname, join } from "node:path";
import { StatusError } from "../../shared/error.ts";
import { archiveFlags, makeArchive } from "./class-archive.ts";
import { type EmulatorJar, findJar, findJava } from "./java.ts";
import { freePort } from "./port.ts";
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

/** How an emulator is started. */
interface Program {
  /** What errors call it. */
  name: string;
  jar: EmulatorJar;
  /** What follows Java's flags, but for the emulator's own. */
  main(jar: string): string[];
  /** A write, for which it loads what most others take, too. */
  write: { method: string; path: string; body: object };
}

const firestore: Program = {
  name: "the Firestore emulator",
  jar: {
    name: "Firestore",
    component: "cloud-firestore-emulator",
    sdk: { folder: "platform/cloud-firestore-emulator", pattern: /^cloud-firestore-emulator.*\.jar$/ },
    firebase: { pattern: /^cloud-firestore-emulator-v.*\.jar$/ },
    setup: "setup:emulators:firestore",
  },
  main: (jar) => [
    "-Duser.language=en",
    "-cp",
    jar,
    "com.google.cloud.datastore.emulator.firestore.CloudFirestore",
    "start",
  ],
  write: {
    method: "POST",
    path: "/v1/projects/rehearsal/databases/(default)/documents:commit",
    body: { writes: [{ update: { name: "projects/rehearsal/databases/(default)/documents/a/b" } }] },
  },
};

const pubsub: Program = {
  name: "the Pub/Sub emulator",
  jar: {
    name: "Pub/Sub",
    component: "pubsub-emulator",
    sdk: { folder: "platform/pubsub-emulator/lib", pattern: /^cloud-pubsub-emulator-.*-all\.jar$/ },
    firebase: {
      folder: /^pubsub-emulator-[\d.]+$/,
      under: "pubsub-emulator/lib",
      pattern: /^cloud-pubsub-emulator-.*-all\.jar$/,
    },
    setup: "setup:emulators:pubsub",
  },
  main: (jar) => ["-jar", jar],
  write: { method: "PUT", path: "/v1/projects/rehearsal/topics/rehearsal", body: {} },
};

/**
 * Google's Firestore emulator, or the one that FIRESTORE_EMULATOR_HOST names. It keeps everything in memory;
 * `seedFrom` is a folder that {@link exportFirestore} wrote.
 */
export async function startFirestore(options: EmulatorOptions & { seedFrom?: string }): Promise<Emulator> {
  const named = process.env.FIRESTORE_EMULATOR_HOST;
  if (named) return theirs("FIRESTORE_EMULATOR_HOST", named);
  const { seedFrom } = options;
  const flags = seedFrom === undefined ? [] : [`--seed_from_export=${metadataFile(seedFrom)}`];
  return ours(firestore, { ...options, flags });
}

/** Google's Pub/Sub emulator, or the one that PUBSUB_EMULATOR_HOST names. It forgets everything when it ends. */
export async function startPubsub(options: EmulatorOptions): Promise<Emulator> {
  const named = process.env.PUBSUB_EMULATOR_HOST;
  if (named) return theirs("PUBSUB_EMULATOR_HOST", named);
  return ours(pubsub, options);
}

/** Starts each emulator once where that was never done, so that from then on they start in half of the processor time. */
export async function rehearse(): Promise<void> {
  for (const program of [firestore, pubsub]) {
    const [java, jar] = await Promise.all([findJava(), findJar(program.jar)]);
    await makeArchive(java, jar, async (javaFlags) => {
      const emulator = await ours(program, { port: await freePort(), javaFlags, stopTimeoutMs: 30_000 });
      try {
        const { method, path, body } = program.write;
        await fetch(`http://${emulator.host}${path}`, { method, headers: asOwner, body: JSON.stringify(body) });
      } finally {
        await emulator.stop();
      }
    });
  }
}

/** Writes all documents into `folder`, whole or not at all; `startFirestore({ seedFrom: folder })` reads them. */
export async function exportFirestore(host: string, projectId: string, folder: string): Promise<void> {
  await replaceFolder(folder, async (draft) => {
    const response = await fetch(`http://${host}/emulator/v1/projects/${projectId}:export`, {
      method: "POST",
      signal: AbortSignal.timeout(5_000),
      headers: asOwner,
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
  const response = await fetch(url, { method: "DELETE", headers: asOwner });
  if (!response.ok) throw new StatusError("INTERNAL", `clearing Firestore at ${host} failed with ${response.status}`);
}

/** The emulator names this file after the export's first folder name, whatever the folder is called later. */
function metadataFile(folder: string): string {
  return join(folder, `${basename(folder)}.new.overall_export_metadata`);
}

/** No rules of security apply. */
const asOwner = { authorization: "Bearer owner", "content-type": "application/json" };

/** A short life: the first compiler is enough, and one collector thread. */
const quickStart = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"];

interface OursOptions extends EmulatorOptions {
  flags?: readonly string[];
  /** Further ones of Java; those for its archive of classes where absent. */
  javaFlags?: readonly string[];
  stopTimeoutMs?: number;
}

async function ours({ name, jar, main }: Program, options: OursOptions): Promise<Emulator> {
  const { port, logFile, flags = [], stopTimeoutMs = 2_000 } = options;
  const host = `127.0.0.1:${port}`;
  const [java, found] = await Promise.all([findJava(), findJar(jar)]);
  const javaFlags = options.javaFlags ?? (await archiveFlags(java, found));
  const running = await startProcess({
    name,
    command: [
      java,
      "-Xmx512m",
      ...quickStart,
      ...javaFlags,
      ...main(found),
      "--host=127.0.0.1",
      `--port=${port}`,
      ...flags,
    ],
    ready: () => answers(host),
    stopTimeoutMs,
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
