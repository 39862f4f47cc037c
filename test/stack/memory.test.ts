import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Instance } from "../../shared/backup/backup.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { valkeep } from "../cli/terminal.ts";
import { until } from "../fixture/until.ts";
import { command, fillOne, holdings } from "./data.ts";
import { openStage, type Stage } from "./stage.ts";

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
  // The first ones have compiled, and leave that to the second as they end.
  const first = hosts();
  for (const pid of Object.values(first)) if (pid !== undefined) process.kill(pid, "SIGTERM");
  const isNew = ([name, pid]: [string, number | undefined]) => pid !== undefined && pid !== first[name];
  await until(async () => Object.entries(hosts()).every(isNew), "function hosts that need no compiler");
});

afterAll(async () => await stage[Symbol.asyncDispose]());

it("the functions stay below 200 MB while they back up and restore a value of 200 MB", {
  timeout: 120_000,
}, async () => {
  const [source, target] = [await stage.valkey(), await stage.valkey()];
  await fillOne(source.endpoint, "large", 200);
  await stage.register("large", source.endpoint);
  await stage.register("copy", target.endpoint);
  const taken = await stage.done("backup.v1.requested", { instance: "large", backupId: "large" });
  const backup = backupName("large", "large");
  const restored = await stage.done("restore.v1.requested", { instance: "copy", backup });
  expect([taken.error, restored.error]).toEqual([undefined, undefined]);
  expect(taken.response?.sizeBytes).toBeGreaterThan(200e6);
  expect(await holdings(target.endpoint)).toEqual(await holdings(source.endpoint));
  await expectSmall();
});

it("and while they replace it in a live instance as a single key, and put back what was there", {
  timeout: 240_000,
}, async () => {
  const [from, live] = ["large", "copy"].map(
    async (id) => (await stage.document<Instance>(`instances/${id}`))?.endpoint,
  );
  const [source = "", target = ""] = await Promise.all([from, live]);
  await command(target, "SETRANGE", "large", "7", "changed");
  const before = await holdings(target);
  const { exitCode, stdout } = await valkeep(
    "restores create --backup=large/large --keys=large --into-live --to=copy --execute --on-conflict=replace --json",
    stage,
  );
  const { name, response }: Operation = JSON.parse(stdout);
  expect([exitCode, response]).toEqual([0, expect.objectContaining({ replaced: 1, changed: 0 })]);
  expect(await holdings(target)).toEqual(await holdings(source));
  const undone = await stage.done("undo.v1.requested", { restore: name, execute: true });
  expect(undone.response).toMatchObject({ restored: 1, changed: 0 });
  expect(await holdings(target)).toEqual(before);
  await expectSmall();
});

async function expectSmall(): Promise<void> {
  const peaks = await peakBytes();
  expect(Object.keys(peaks).sort()).toEqual(["functions", "functions-load", "functions-restore", "functions-snapshot"]);
  expect(Object.entries(peaks).filter(([, bytes]) => !(bytes < 200e6))).toEqual([]);
}

/** The pid of each function host. */
const hosts = (): Record<string, number | undefined> =>
  Object.fromEntries(Object.entries(stage.stack.pids()).filter(([name]) => name.startsWith("functions")));

/** The most that each function host was ever resident with. https://docs.kernel.org/filesystems/proc.html */
async function peakBytes(): Promise<Record<string, number>> {
  const pairs = Object.entries(hosts()).map(async ([name, pid]) => {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    return [name, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024] as const;
  });
  return Object.fromEntries(await Promise.all(pairs));
}
