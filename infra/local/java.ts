import { execFile } from "node:child_process";
import { access, constants, readdir, realpath } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { StatusError } from "../../shared/error.ts";

const run = promisify(execFile);

/** An emulator's jar, by where the Google Cloud SDK and the Firebase CLI keep it. */
export interface EmulatorJar {
  /** What it is called in an error, such as "Firestore". */
  name: string;
  /** The SDK's component. */
  component: string;
  /** Under the SDK's root: folder, and the jar's name in it. */
  sdk: { folder: string; pattern: RegExp };
  /** The same in the Firebase CLI's cache; folders may carry a version. */
  firebase: { folder?: RegExp; under?: string; pattern: RegExp };
  /** How to have the Firebase CLI fetch it. */
  setup: string;
}

/** Finds the jar in the Google Cloud SDK, else in the Firebase CLI's cache. Throws FAILED_PRECONDITION with the way to get one. */
export async function findJar(jar: EmulatorJar): Promise<string> {
  const root = await sdkRoot();
  const found = (root && (await newest(join(root, jar.sdk.folder), jar.sdk.pattern))) ?? (await inFirebaseCache(jar));
  if (found) return found;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `the ${jar.name} emulator was found neither in the Google Cloud SDK nor in the Firebase CLI's cache: ` +
      `run "gcloud components install ${jar.component}" or "npx firebase-tools ${jar.setup}"`,
  );
}

/** Google's emulators need Java 11 or newer. Throws FAILED_PRECONDITION where there is none. */
export async function findJava(): Promise<string> {
  const home = process.env.JAVA_HOME;
  const java = (await inPath("java")) ?? (home ? join(home, "bin/java") : undefined);
  const said = java ? (await run(java, ["-version"]).catch(() => undefined))?.stderr : undefined;
  const release = Number(/version "(\d+)/.exec(said ?? "")?.[1] ?? 0);
  if (java && release >= 11) return java;
  const what = release > 0 ? `found Java ${said?.split('"')[1] ?? release}` : "found no java in the PATH";
  throw new StatusError("FAILED_PRECONDITION", `Google's emulators need Java 11 or newer, ${what}: install a JRE`);
}

async function sdkRoot(): Promise<string | undefined> {
  const gcloud = await inPath("gcloud");
  if (gcloud === undefined) return undefined;
  const root = dirname(dirname(await realpath(gcloud)));
  if ((await readdir(root)).includes("platform")) return root;
  // A wrapper somewhere else: ask it, which takes a second.
  const answer = await run(gcloud, ["info", "--format=value(installation.sdk_root)"]).catch(() => ({ stdout: "" }));
  return answer.stdout.trim() || undefined;
}

async function inFirebaseCache({ firebase }: EmulatorJar): Promise<string | undefined> {
  const cache = process.env.FIREBASE_EMULATORS_PATH ?? join(homedir(), ".cache/firebase/emulators");
  if (firebase.folder === undefined) return newest(cache, firebase.pattern);
  const folder = await newest(cache, firebase.folder);
  return folder && newest(join(folder, firebase.under ?? ""), firebase.pattern);
}

/** The entry with the highest version in its name. */
async function newest(folder: string, pattern: RegExp): Promise<string | undefined> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => pattern.test(name));
  const last = names.sort((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1);
  return last === undefined ? undefined : join(folder, last);
}

async function inPath(program: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter).filter((part) => part !== "")) {
    const file = join(folder, program);
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}
