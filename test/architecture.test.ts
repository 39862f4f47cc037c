import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");
const tracked = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
}).split("\n");
const sources = tracked.filter((file) => file.endsWith(".ts"));
const text = (file: string): string => readFileSync(join(root, file), "utf8");

/** What a file imports: paths from the project's root, or the names of packages. */
function importsOf(file: string): string[] {
  const found = text(file).matchAll(/^(?:import|export)\s(?:[^"';]*?\sfrom\s)?"([^"]+)"|\bimport\("([^"]+)"\)/gm);
  return [...found].map(([, plain, dynamic]) => {
    const name = plain ?? dynamic ?? "";
    return name.startsWith(".") ? normalize(join(dirname(file), name)) : name;
  });
}

/** What has to be loaded before a file: what is imported for its types alone is gone by then. */
const loadedBefore = (file: string): string[] =>
  [...text(file).matchAll(/^(?:import|export)\s(?!type\s)(?:[^"';]*?\sfrom\s)?"(\.[^"]+)"/gm)].map(([, name = ""]) =>
    normalize(join(dirname(file), name)),
  );

const adapters = ["valkey", "firestore", "gcs", "pubsub", "scheduler", "memorystore", "memory"].map(
  (name) => `shared/${name}/`,
);

/** For each part of `shared`, what else of the project it may import; its own files always. */
const allowed: Record<string, string[]> = {
  "shared/rdb/": ["shared/error.ts"],
  "shared/aof/": ["shared/rdb/", "shared/error.ts"],
  "shared/backup/": ["shared/error.ts"],
  "shared/pipeline/": ["shared/backup/", "shared/error.ts"],
  ...Object.fromEntries(
    adapters.map((name) => [
      name,
      ["shared/pipeline/ports.ts", "shared/backup/", "shared/rdb/", "shared/aof/", "shared/error.ts"],
    ]),
  ),
};

/** The only homes of each SDK, in the code that is deployed. */
const homes: Record<string, string[]> = {
  "@google-cloud/firestore": ["shared/firestore/"],
  "@google-cloud/storage": ["shared/gcs/"],
  "@google-cloud/pubsub": ["shared/pubsub/"],
  "@google-cloud/scheduler": ["shared/scheduler/"],
  "@google-cloud/functions-framework": ["functions/index.ts", "functions/push.ts"],
  iovalkey: ["shared/valkey/"],
};

const isProject = (name: string): boolean => /^(shared|functions|infra|test)\//.test(name);
const offences = (files: string[], isAllowed: (file: string, name: string) => boolean): string[] =>
  files.flatMap((file) =>
    importsOf(file)
      .filter((name) => !isAllowed(file, name))
      .map((name) => `${file} imports ${name}`),
  );

describe("the layout", () => {
  it.each(Object.entries(allowed))("%s imports of the project only %j", (folder, names) => {
    const files = sources.filter((file) => file.startsWith(folder));
    expect(
      offences(
        files,
        (_, name) => !isProject(name) || name.startsWith(folder) || names.some((prefix) => name.startsWith(prefix)),
      ),
    ).toEqual([]);
  });

  it("rdb and aof know bytes only: no package but Node's own", () => {
    const files = sources.filter((file) => /^shared\/(rdb|aof)\//.test(file));
    expect(offences(files, (_, name) => isProject(name) || name.startsWith("node:"))).toEqual([]);
  });

  it("functions import shared and each other; only google.ts chooses adapters", () => {
    const files = sources.filter((file) => file.startsWith("functions/") || /^shared\/[^/]+\.ts$/.test(file));
    expect(
      offences(
        files,
        (file, name) => file === "shared/google.ts" || !adapters.some((prefix) => name.startsWith(prefix)),
      ),
    ).toEqual([]);
    expect(offences(files, (_, name) => !name.startsWith("infra/") && !name.startsWith("test/"))).toEqual([]);
  });

  it("nobody imports functions but their host on the local stack, and the tests", () => {
    const files = sources.filter((file) => !file.startsWith("functions/") && !file.startsWith("test/"));
    expect(offences(files, (_, name) => !name.startsWith("functions/"))).toEqual([]);
  });

  it("nothing that runs imports a test", () => {
    const files = sources.filter((file) => !file.startsWith("test/"));
    expect(offences(files, (_, name) => !name.startsWith("test/"))).toEqual([]);
  });

  it.each(Object.entries(homes))("%s is known only to %j", (sdk, places) => {
    const files = sources.filter(
      (file) => /^(shared|functions)\//.test(file) && !places.some((place) => file.startsWith(place)),
    );
    expect(offences(files, (_, name) => name !== sdk && !name.startsWith(`${sdk}/`))).toEqual([]);
  });

  it("the model and the file format know no clock, chance, environment or timer", () => {
    const files = sources.filter((file) => /^shared\/(backup|rdb|aof)\//.test(file));
    const impure = /\bDate\.now\(|\bnew Date\(\)|Math\.random\(|\bprocess\.|\bsetTimeout\(|\bfetch\(/;
    expect(files.filter((file) => impure.test(text(file)))).toEqual([]);
  });

  it("the environment is read where the functions start, and by what belongs to one machine", () => {
    const files = sources.filter((file) => /^(shared|functions)\//.test(file) && text(file).includes("process.env"));
    expect(files.sort()).toEqual(["functions/index.ts", "shared/google.ts"]);
  });

  it("no file is named for nothing", () => {
    expect(
      sources.filter(
        (file) =>
          /(^|[/-])(utils?|helpers?|common|manager|service|misc)\.ts$/.test(file) &&
          !file.startsWith("infra/local/scheduler/"),
      ),
    ).toEqual([]);
  });

  it("the top level holds what the design names", () => {
    const names = new Set(tracked.filter((file) => file !== "").map((file) => file.split("/")[0] ?? ""));
    const known =
      /^(functions|shared|infra|test|package(-lock)?\.json|tsconfig[^/]*\.json|firebase\.json|biome\.json|vitest\.config\.ts|README\.md|LICENSE|\..+)$/;
    expect([...names].filter((name) => !known.test(name))).toEqual([]);
  });

  it("no file has to be loaded before itself", () => {
    const seen = new Set<string>();
    const circles = (file: string, path: string[]): string[] => {
      if (path.includes(file)) return [[...path.slice(path.indexOf(file)), file].join(" imports ")];
      if (seen.has(file)) return [];
      seen.add(file);
      return loadedBefore(file).flatMap((name) => (name.endsWith(".ts") ? circles(name, [...path, file]) : []));
    };
    expect(sources.flatMap((file) => circles(file, []))).toEqual([]);
  });

  it("every import names a file that is there", () => {
    const files = new Set(tracked);
    expect(offences(sources, (_, name) => !isProject(name) || files.has(name))).toEqual([]);
  });
});
