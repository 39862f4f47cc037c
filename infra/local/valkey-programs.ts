import { execFile } from "node:child_process";
import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { StatusError } from "../../shared/error.ts";
import { unpackDebian } from "./debian.ts";

/** How to run one release of Valkey (or Redis, where no Valkey is to be had). */
export interface ValkeyPrograms {
  /** What it is, honestly. */
  name: "Valkey" | "Redis";
  /** As it says itself, such as "8.0.1". */
  version: string;
  /** Program and first arguments of the server, of `valkey-cli`, of `valkey-check-rdb`; append yours. */
  server: string[];
  cli: string[];
  checkRdb: string[];
  /** Variables to add to the environment of all three. */
  env: Record<string, string>;
}

/** The releases that Debian has, by suite. */
const releases = {
  "8.0": { product: "valkey", suites: ["bookworm", "bookworm-backports"] },
  "8.1": { product: "valkey", suites: ["trixie"] },
  "9.1": { product: "valkey", suites: ["forky"] },
  "redis-7.0": { product: "redis", suites: ["bookworm"] },
  "redis-8.0": { product: "redis", suites: ["forky"] },
} as const;

export type ValkeyRelease = keyof typeof releases;

const found = new Map<string, Promise<ValkeyPrograms>>();

/**
 * Finds `valkey-server` in the PATH, else in the cache folder (`.cache`, or VALKEEP_CACHE_DIR), else unpacks Debian's
 * packages into it, else takes a `redis-server` from the PATH. A particular release comes from the PATH only if it is
 * that one, and has no stand-in. Throws UNAVAILABLE with the way to get one.
 */
export function findValkey({ version }: { version?: ValkeyRelease } = {}): Promise<ValkeyPrograms> {
  const key = version ?? "any";
  const search = found.get(key) ?? find(version);
  found.set(key, search);
  search.catch(() => found.delete(key));
  return search;
}

async function find(wanted: ValkeyRelease | undefined): Promise<ValkeyPrograms> {
  const installed = await inPath("valkey");
  if (installed && (wanted === undefined || installed.version.startsWith(`${wanted}.`))) return installed;
  try {
    return await fromDebian(wanted ?? "8.0");
  } catch (error) {
    const fallback = wanted === undefined ? await inPath("redis") : undefined;
    if (fallback) return fallback;
    const reason = error instanceof Error ? error.message : String(error);
    const what = wanted?.startsWith("redis") ? "redis-server" : `valkey-server${wanted ? ` ${wanted}` : ""}`;
    const advice = `install ${what} (https://valkey.io/download) so that it is in the PATH`;
    throw new StatusError("UNAVAILABLE", `no ${what} found: ${advice}; ${reason}`, { cause: error });
  }
}

async function inPath(product: "valkey" | "redis"): Promise<ValkeyPrograms | undefined> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const server = join(folder, `${product}-server`);
    if (folder === "" || !(await isExecutable(server))) continue;
    return describe([server], [join(folder, `${product}-cli`)], [join(folder, `${product}-check-rdb`)]);
  }
  return undefined;
}

/**
 * Debian's programs run with the libraries of their own suite, libc included, so that any release runs on any Debian.
 * Server and check-rdb are one binary that goes by its argv[0].
 */
async function fromDebian(release: ValkeyRelease): Promise<ValkeyPrograms> {
  const { product, suites } = releases[release];
  const cache = process.env.VALKEEP_CACHE_DIR ?? join(import.meta.dirname, "../../.cache");
  const root = join(cache, `${product}-${release.replace(/^redis-/, "")}`);
  const program = (name: string) => join(root, "usr/bin", `${product}-${name}`);
  if (!(await isExecutable(program("server")))) {
    await unpackDebian({ suites, packages: [`${product}-server`, `${product}-tools`], directory: root });
  }
  const { loader, path } = await libraries(root);
  const argv = (name: string) => [loader, "--library-path", path, "--argv0", `${product}-${name}`, program(name)];
  return describe(argv("server"), argv("cli"), argv("check-rdb"));
}

async function libraries(root: string): Promise<{ loader: string; path: string }> {
  const folders = [];
  let loader: string | undefined;
  for (const parent of ["lib", "lib64", "usr/lib", "usr/lib64"]) {
    const names = await readdir(join(root, parent)).catch(() => []);
    for (const folder of ["", ...names.filter((name) => name.endsWith("-linux-gnu"))]) {
      const full = join(root, parent, folder);
      const files = await readdir(full).catch(() => []);
      if (files.some((file) => file.includes(".so"))) folders.push(full);
      const name = files.find((file) => /^ld-linux.*\.so\.\d+$/.test(file));
      if (name !== undefined && folder !== "") loader = join(full, name);
    }
  }
  if (loader === undefined)
    throw new StatusError("UNAVAILABLE", `${root} holds no ld-linux: remove the folder and try again`);
  return { loader, path: folders.join(":") };
}

async function describe(server: string[], cli: string[], checkRdb: string[]): Promise<ValkeyPrograms> {
  const [program = "", ...args] = server;
  const { stdout } = await promisify(execFile)(program, [...args, "--version"]);
  const match = /^(Valkey|Redis) server v=(\S+)/.exec(stdout);
  if (!match) throw new StatusError("UNAVAILABLE", `${server.at(-1)} --version said: ${stdout.trim()}`);
  return { name: match[1] === "Redis" ? "Redis" : "Valkey", version: match[2] ?? "", server, cli, checkRdb, env: {} };
}

function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
