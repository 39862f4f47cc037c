import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { holdings } from "./holding.ts";
import { type Method, type Pair, restoreInto, started, take } from "./pair.ts";
import type { Release } from "./release.ts";

const methods: readonly Method[] = ["REPLICATION", "SCAN", "VOLUME"];

/** What became of a release's snapshot by one method at another server of the same release. */
export interface Way extends Pair {
  method: Method;
}

/** Every release by every method, with all that the release can hold, through every step of the pipeline. */
export async function runWays(releases: readonly Release[]): Promise<Way[]> {
  const folder = await mkdtemp(join(tmpdir(), "valkeep-ways-"));
  const ways: Way[] = [];
  try {
    for (const method of methods)
      for (const release of releases) {
        const newest = holdings[release].at(-1);
        if (newest === undefined) throw new Error(`${release} holds nothing`);
        const taken = await take(release, newest, join(folder, `${method}-${release}.rdb`), method);
        await using server = await started(release);
        ways.push({ ...(await restoreInto(server, release, taken)), method });
      }
  } finally {
    await rm(folder, { recursive: true });
  }
  return ways;
}
