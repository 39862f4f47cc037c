import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { findValkey } from "../../infra/local/valkey-programs.ts";
import { runPairs } from "./pair.ts";
import { nameOf, type Release, releases, requiredReleases } from "./release.ts";
import { blockOf, toldBy, verdictOf, wayText, wayToldBy, withBlock } from "./table.ts";
import { runWays } from "./way.ts";

/**
 * Takes a backup of every release, restores it into every release, and prints the table of what goes and what is refused:
 * `npm run test:versions [-- --write]`. With `--write` the README's table becomes this one. About half a minute, once
 * the servers are in the cache. Exits 1 if a pair is neither restored equal nor refused untouched, or the README is stale.
 */
const { values: options } = parseArgs({ options: { write: { type: "boolean", default: false } } });
const readmeFile = join(import.meta.dirname, "../../README.md");

const found = await available();
const pairs = await runPairs(found, found);
const ways = await runWays(found);
const block = blockOf(pairs, ways, found);
console.log(block);

const wrong = [...pairs.filter(({ outcome }) => outcome === "WRONG"), ...ways.filter((way) => wayText(way) !== "yes")];
for (const { source, holding, target, outcome, reason } of wrong)
  console.error(`${nameOf(source)} (${holding}) into ${nameOf(target)}: ${outcome}, ${reason}`);
if (wrong.length > 0) process.exitCode = 1;
else if (options.write) await write();
else await compare();

/** Those that can be had; why the others are left out is told. In CI the required ones have to be there. */
async function available(): Promise<Release[]> {
  const there: Release[] = [];
  for (const version of releases)
    await findValkey({ version }).then(
      () => there.push(version),
      (error: Error) => {
        if (process.env.CI !== undefined && requiredReleases.includes(version)) throw error;
        console.error(`${nameOf(version)} is left out: ${error.message}`);
      },
    );
  return there;
}

async function write(): Promise<void> {
  if (found.length < releases.length) throw new Error("README.md is written only when every release was there");
  await writeFile(readmeFile, withBlock(await readFile(readmeFile, "utf8"), block));
}

async function compare(): Promise<void> {
  const readme = await readFile(readmeFile, "utf8");
  const stale = [
    ...pairs.filter((pair) => !isDeepStrictEqual(toldBy(readme, pair), verdictOf(pair))),
    ...ways.filter((way) => wayToldBy(readme, way) !== wayText(way)),
  ];
  if (stale.length === 0) return;
  console.error(`README.md tells otherwise of ${stale.length} cells: npm run test:versions -- --write`);
  process.exitCode = 1;
}
