import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { archiveFlags, makeArchive } from "../../infra/local/class-archive.ts";

let directory: string;
let java: string;
let jar: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-classes-"));
  vi.stubEnv("VALKEEP_CACHE_DIR", directory);
  [java, jar] = [join(directory, "java"), join(directory, "emulator-1.jar")];
  await putJava("exit 0");
  await writeFile(jar, "classes");
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

async function putJava(script: string): Promise<void> {
  await writeFile(java, `#!/bin/sh\n${script}\n`);
  await chmod(java, 0o755);
}

/** What Java does as it ends. */
const dump = async (flags: readonly string[]): Promise<void> => {
  const path = flags.flatMap((flag) => flag.split("ArchiveClassesAtExit=")[1] ?? [])[0];
  await writeFile(path ?? "", "archive");
};

it("a jar's archive is made once, and used from then on", async () => {
  expect(await archiveFlags(java, jar)).toEqual([]);
  const rehearsal = vi.fn(dump);
  await makeArchive(java, jar, rehearsal);
  await makeArchive(java, jar, rehearsal);
  expect(rehearsal).toHaveBeenCalledTimes(1);
  const [archive] = await readdir(join(directory, "classes"));
  expect(archive).toMatch(/^emulator-1-[0-9a-f]{12}\.jsa$/);
  expect(await archiveFlags(java, jar)).toEqual([`-XX:SharedArchiveFile=${directory}/classes/${archive}`]);
});

it("an archive is not used for another build of the jar", async () => {
  await makeArchive(java, jar, dump);
  await writeFile(jar, "other classes");
  expect(await archiveFlags(java, jar)).toEqual([]);
});

it.each<[string, string, typeof dump]>([
  ["that Java refuses", "exit 1", dump],
  ["that Java did not write", "exit 1", async () => undefined],
  ["of a program that does not start", "exit 0", async () => Promise.reject(new Error("no"))],
])("an archive %s is none, and nothing of it stays", async (_, script, rehearsal) => {
  await putJava(script);
  await expect(makeArchive(java, jar, rehearsal)).rejects.toThrow(/no|Command failed/);
  expect(await readdir(join(directory, "classes"))).toEqual([]);
  expect(await archiveFlags(java, jar)).toEqual([]);
});
