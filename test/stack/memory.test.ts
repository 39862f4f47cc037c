import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { backupName } from "../../shared/backup/name.ts";
import { fillOne, holdings } from "./data.ts";
import { openStage, type Stage, until } from "./stage.ts";

/**
 * The function host as a small instance would run it: with a small young generation (from the memory of a large machine V8
 * derives one that fills with garbage first), and without the compiler of TypeScript in the process.
 */
let stage: Stage;
let cache: string;
const inherited = { ...process.env };

beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), "valkeep-compiled-"));
  Object.assign(process.env, {
    NODE_OPTIONS: "--max-semi-space-size=1",
    NODE_COMPILE_CACHE: cache,
    MALLOC_ARENA_MAX: "2",
  });
  stage = await openStage();
  // The first one has compiled, and leaves that to the second as it ends.
  const first = stage.stack.pids().functions;
  if (first !== undefined) process.kill(first, "SIGTERM");
  await until(async () => ![first, undefined].includes(stage.stack.pids().functions), "a second function host");
});

afterAll(async () => {
  await stage[Symbol.asyncDispose]();
  await rm(cache, { recursive: true, force: true });
  Object.assign(process.env, inherited);
});

it("the functions stay below 200 MB while they back up and restore a value of 200 MB", {
  timeout: 120_000,
}, async () => {
  const [source, target] = [await stage.valkey(), await stage.valkey()];
  await fillOne(source.endpoint, "large", 200);
  await stage.register("large", source.endpoint);
  await stage.register("copy", target.endpoint);
  await forgetPeak();
  const taken = await stage.done("backup.v1.requested", { instance: "large", backupId: "large" });
  const snapshotBytes = await peakBytes();
  await forgetPeak();
  const backup = backupName("large", "large");
  const restored = await stage.done("restore.v1.requested", { instance: "copy", backup });
  const restoreBytes = await peakBytes();
  expect([taken.error, restored.error]).toEqual([undefined, undefined]);
  expect(taken.response?.sizeBytes).toBeGreaterThan(200e6);
  expect(await holdings(target.endpoint)).toEqual(await holdings(source.endpoint));
  expect(snapshotBytes).toBeLessThan(200e6);
  expect(restoreBytes).toBeLessThan(200e6);
});

/** The most that the function host has been resident with. https://docs.kernel.org/filesystems/proc.html */
async function peakBytes(): Promise<number> {
  const status = await readFile(`/proc/${stage.stack.pids().functions}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

const forgetPeak = () => writeFile(`/proc/${stage.stack.pids().functions}/clear_refs`, "5");
