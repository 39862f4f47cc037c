import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { StatusError } from "../../shared/error.ts";

const run = promisify(execFile);

export interface DebianPackages {
  /** Suites to take packages from, such as "bookworm-backports". */
  suites: readonly string[];
  /** Packages to unpack, with the libraries that they need. */
  packages: readonly string[];
  /** Where they are unpacked to; appears whole or not at all. */
  directory: string;
}

/**
 * Downloads Debian packages from wherever this machine gets its own, checked by apt against the same keys, and unpacks
 * them into a folder: needs no root, installs nothing, and leaves apt's own lists alone. Does nothing where the folder
 * exists; when several do it at once, the first to finish wins. Throws UNAVAILABLE where that cannot be done.
 */
export async function unpackDebian({ suites, packages, directory }: DebianPackages): Promise<void> {
  await mkdir(dirname(directory), { recursive: true });
  await removeInterrupted(dirname(directory));
  const work = await mkdtemp(join(dirname(directory), UNPACKING));
  try {
    const apt = await privateApt(work, suites);
    await apt("apt-get", ["update", "-qq"]);
    const wanted = await withLibraries(apt, packages);
    await apt("apt-get", ["download", "-qq", ...wanted]);
    const root = join(work, "root");
    const archives = (await readdir(work)).filter((name) => name.endsWith(".deb"));
    for (const archive of archives) await run("dpkg-deb", ["--extract", join(work, archive), root]);
    await rename(root, directory).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } catch (error) {
    if (error instanceof StatusError) throw error;
    const said = (error as { stderr?: string }).stderr?.trim() || String(error);
    throw new StatusError(
      "UNAVAILABLE",
      `cannot fetch ${packages.join(", ")} from Debian ${suites.join(", ")}: ${said}`,
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const UNPACKING = ".unpacking-";

/** What a killed fetch left behind, recognised by its age: none takes ten minutes. */
async function removeInterrupted(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const { mtimeMs } = await stat(join(parent, name)).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    const isOld = mtimeMs < Date.now() - 600_000;
    if (name.startsWith(UNPACKING) && isOld) await rm(join(parent, name), { recursive: true, force: true });
  }
}

type Apt = (program: string, args: readonly string[]) => Promise<string>;

/** apt with the machine's own settings, but with lists, state and cache in `work`, other suites, and no hooks. */
async function privateApt(work: string, suites: readonly string[]): Promise<Apt> {
  for (const folder of ["state", "lists/partial", "cache/archives/partial"]) {
    await mkdir(join(work, folder), { recursive: true });
  }
  const sources = join(work, "debian.sources");
  await writeFile(sources, await sourcesFor(suites));
  const { stdout } = await run("apt-config", ["dump"]);
  const inherited = stdout
    .split("\n")
    .filter((line) => !/^(APT::Update|DPkg|Acquire::IndexTargets)::|^CommandLine/.test(line));
  const config = join(work, "apt.conf");
  const own = {
    "Dir::Etc::parts": "-",
    "Dir::Etc::main": "-",
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "-",
    "Dir::Etc::preferences": "-",
    "Dir::Etc::preferencesparts": "-",
    "Dir::State": join(work, "state"),
    "Dir::State::lists": join(work, "lists"),
    "Dir::Cache": join(work, "cache"),
    // Run by root, apt would download as a user who may not write here.
    "APT::Sandbox::User": "root",
  };
  const lines = Object.entries(own).map(([name, value]) => `${name} "${value}";`);
  await writeFile(config, [...inherited, ...lines, ""].join("\n"));
  return async (program, args) => {
    const environment = { ...process.env, APT_CONFIG: config, LC_ALL: "C" };
    return (await run(program, args, { cwd: work, env: environment, maxBuffer: 64 * 1024 * 1024 })).stdout;
  };
}

/** The packages and, transitively, the libraries ("lib…") that they depend on; no maintainer scripts' needs. */
async function withLibraries(apt: Apt, packages: readonly string[]): Promise<string[]> {
  const wanted = new Set(packages);
  for (let fresh = [...packages]; fresh.length > 0; ) {
    const answer = await apt("apt-cache", ["depends", "--no-recommends", "--no-suggests", ...fresh]);
    const libraries = [...answer.matchAll(/^ {2}(?:Pre)?Depends: (lib\S+)$/gm)].map(([, name = ""]) => name);
    fresh = [...new Set(libraries)].filter((name) => !wanted.has(name));
    for (const name of fresh) wanted.add(name);
  }
  return [...wanted];
}

interface Source {
  options: string[];
  uris: string;
  suites: string[];
}

/** Sources for `suites`, written as deb822, from the entry by which this Debian gets its own packages. */
async function sourcesFor(suites: readonly string[]): Promise<string> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME="?([a-z]+)/m.exec(release)?.[1];
  const names = [codename, "stable", "testing", "unstable", "sid"];
  const isDebian = /^ID="?debian"?$/m.test(release);
  const main = (await readSources()).find((source) => source.suites.some((suite) => names.includes(suite)));
  if (!isDebian || main === undefined) {
    throw new StatusError("UNAVAILABLE", "this machine has no Debian package sources in /etc/apt");
  }
  const stanza = [
    "Types: deb",
    `URIs: ${main.uris}`,
    `Suites: ${suites.join(" ")}`,
    "Components: main",
    ...main.options,
  ];
  return `${stanza.join("\n")}\n`;
}

async function readSources(): Promise<Source[]> {
  const parts = "/etc/apt/sources.list.d";
  const files = (await readdir(parts).catch(() => [])).sort().map((name) => join(parts, name));
  const sources: Source[] = [];
  for (const file of ["/etc/apt/sources.list", ...files]) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (file.endsWith(".list")) sources.push(...oneLineSources(text));
    if (file.endsWith(".sources")) sources.push(...deb822Sources(text));
  }
  return sources;
}

/** `deb [signed-by=/usr/share/keyrings/x.gpg arch=amd64] URI SUITE COMPONENT…`, sources.list(5). */
export function oneLineSources(text: string): Source[] {
  return [...text.matchAll(/^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+/gm)].map(
    ([, options = "", uris = "", suite = ""]) => ({
      options: [...options.matchAll(/(signed-by|trusted)=(\S+)/gi)].map(([, name, value]) => `${name}: ${value}`),
      uris,
      suites: [suite],
    }),
  );
}

/** Stanzas of `Field: value` lines, continued by indented ones, sources.list(5). */
export function deb822Sources(text: string): Source[] {
  const sources: Source[] = [];
  for (const stanza of text.replace(/^#.*\n/gm, "").split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    for (const [, name = "", value = ""] of stanza.matchAll(/^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)/gm)) {
      fields.set(name.toLowerCase(), value);
    }
    const words = (name: string) => fields.get(name)?.trim().split(/\s+/) ?? [];
    if (!words("types").includes("deb") || words("enabled").includes("no")) continue;
    const options = ["signed-by", "trusted"]
      .filter((name) => fields.has(name))
      .map((name) => `${name}:${fields.get(name)}`);
    sources.push({ options, uris: words("uris").join(" "), suites: words("suites") });
  }
  return sources;
}
