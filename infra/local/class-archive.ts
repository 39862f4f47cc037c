import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * Flags by which Java starts with the classes of a jar as it has parsed and checked them before: that takes half of the
 * processor time. None where {@link makeArchive} was never asked for this jar and this Java.
 */
export async function archiveFlags(java: string, jar: string): Promise<string[]> {
  const archive = await pathOf(java, jar);
  return (await isThere(archive)) ? use(archive) : [];
}

/**
 * Makes the archive where there is none: `rehearsal` runs the program once with the flags that it is given, until it has
 * ended. Throws where that comes to nothing, and leaves none: Java before 13 passes over the flags, and the cache may be read-only.
 */
export async function makeArchive(
  java: string,
  jar: string,
  rehearsal: (flags: readonly string[]) => Promise<unknown>,
): Promise<void> {
  const archive = await pathOf(java, jar);
  if (await isThere(archive)) return;
  const fresh = `${archive}.${process.pid}`;
  try {
    await mkdir(dirname(archive), { recursive: true });
    await rehearsal(["-XX:+IgnoreUnrecognizedVMOptions", `-XX:ArchiveClassesAtExit=${fresh}`]);
    // Fails if it was not written to its end, and then leaves a report in the working directory.
    await run(java, [...use(fresh), "-Xshare:on", "-cp", jar, "-version"], { cwd: dirname(archive) });
    await rename(fresh, archive);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

const use = (archive: string): string[] => [`-XX:SharedArchiveFile=${archive}`];

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** In the cache folder (`.cache`, or VALKEEP_CACHE_DIR): one for each build of Java and of the jar, as no other would do. */
async function pathOf(java: string, jar: string): Promise<string> {
  const builds = await Promise.all([java, jar].map(buildOf));
  const id = createHash("sha256").update(builds.join(" ")).digest("hex").slice(0, 12);
  const cache = process.env.VALKEEP_CACHE_DIR ?? join(import.meta.dirname, "../../.cache");
  return join(cache, "classes", `${basename(jar, ".jar")}-${id}.jsa`);
}

async function buildOf(file: string): Promise<string> {
  const path = await realpath(file);
  const { size, mtimeMs } = await stat(path);
  return `${path} ${size} ${mtimeMs}`;
}
