import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findStack } from "../../infra/cli/connection.ts";
import { readConfig } from "../../shared/config.ts";
import { valkeep } from "./terminal.ts";

/** Higher than any pid that Linux gives (PID_MAX_LIMIT, 2^22). */
const deadPid = 4_194_305;

const places = {
  projectId: "valkeep-local",
  storage: { apiEndpoint: "http://127.0.0.1:3", vaultBucket: "v", inboxBucket: "i", exportBucket: "e" },
  firestore: { host: "127.0.0.1:1" },
  pubsub: { host: "127.0.0.1:2" },
  scheduler: { host: "127.0.0.1:4" },
};

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-cli-"));
});
afterEach(() => rm(directory, { recursive: true }));

/** A stack file in a folder below the directory. */
async function stackIn(folder: string, pid: number): Promise<string> {
  await mkdir(join(directory, folder), { recursive: true });
  const file = join(directory, folder, "stack.json");
  await writeFile(file, JSON.stringify({ ...places, pid }));
  return file;
}

describe("finding the local stack", () => {
  it("looks in the working directory and above it", async () => {
    const file = await stackIn(".local", process.pid);
    const below = join(directory, "some", "folder");
    await mkdir(below, { recursive: true });
    expect(findStack({}, below)?.file).toBe(file);
  });

  it("passes over one that no longer runs", async () => {
    const file = await stackIn(".local", process.pid);
    await stackIn("below/.local", deadPid);
    expect(findStack({}, join(directory, "below"))?.file).toBe(file);
  });

  it("takes the one that is named before any other", async () => {
    await stackIn(".local", process.pid);
    const named = await stackIn("elsewhere", process.pid);
    expect(findStack({ VALKEEP_STACK: named }, directory)?.file).toBe(named);
  });

  it("takes the folder of the one that is named for it", async () => {
    const named = await stackIn("elsewhere", process.pid);
    expect(findStack({ VALKEEP_STACK: join(directory, "elsewhere") }, directory)?.file).toBe(named);
    expect(() => findStack({ VALKEEP_STACK: join(directory, "nowhere") }, directory)).toThrow(
      /npm run local -- --directory .*nowhere starts it$/,
    );
  });

  it("names a file that no stack has written", async () => {
    const file = join(directory, "stack.json");
    await writeFile(file, "{");
    expect(() => findStack({ VALKEEP_STACK: file }, directory)).toThrow(`${file} is not what a local stack writes`);
  });

  it("takes none when told so", async () => {
    await stackIn(".local", process.pid);
    expect(findStack({ VALKEEP_STACK: "none" }, directory)).toBeUndefined();
  });

  it("refuses a named one that does not run", async () => {
    const named = await stackIn("elsewhere", deadPid);
    expect(() => findStack({ VALKEEP_STACK: named }, directory)).toThrow(
      /no local stack runs at .*elsewhere.*: npm run local -- --directory .*elsewhere starts it$/,
    );
  });

  it("tells all that a connection needs", async () => {
    await stackIn(".local", process.pid);
    const found = findStack({}, directory);
    expect(readConfig(found?.variables ?? {})).toEqual({
      projectId: "valkeep-local",
      location: "asia-northeast1",
      vaultBucket: "v",
      inboxBucket: "i",
      storageEndpoint: "http://127.0.0.1:3",
      schedulerEndpoint: "127.0.0.1:4",
      isLocal: true,
      secretsDirectory: join(directory, ".local", "secrets"),
    });
    expect(found?.variables).toMatchObject({
      FIRESTORE_EMULATOR_HOST: "127.0.0.1:1",
      PUBSUB_EMULATOR_HOST: "127.0.0.1:2",
      METADATA_SERVER_DETECTION: "none",
    });
  });
});

describe("a deployment", () => {
  const needed = {
    GOOGLE_CLOUD_PROJECT: "p",
    VALKEEP_LOCATION: "l",
    VALKEEP_VAULT_BUCKET: "v",
    VALKEEP_INBOX_BUCKET: "i",
  };

  it("says how far apart the places are where a file can be cut, or is told that this is no number", () => {
    expect(readConfig(needed).borderBytes).toBeUndefined();
    expect(readConfig({ ...needed, VALKEEP_BORDER_BYTES: "1000000" }).borderBytes).toBe(1_000_000);
    for (const text of ["0", "-1", "64MiB", "1e6"])
      expect(() => readConfig({ ...needed, VALKEEP_BORDER_BYTES: text })).toThrow(
        /VALKEEP_BORDER_BYTES is .*, expected/,
      );
  });

  it("says how long a lease holds, or is told that it cannot be so long", () => {
    expect(readConfig(needed).leaseSeconds).toBeUndefined();
    expect(readConfig({ ...needed, VALKEEP_LEASE_SECONDS: "20" }).leaseSeconds).toBe(20);
    for (const text of ["0", "9", "61", "100", "20s", "2e1"])
      expect(() => readConfig({ ...needed, VALKEEP_LEASE_SECONDS: text })).toThrow(
        /VALKEEP_LEASE_SECONDS is .*: expected 10 to 60/,
      );
  });
});

describe("without a stack", () => {
  it("wrong usage is the variable that is missing", async () => {
    const environment = { VALKEEP_STACK: "none", GOOGLE_CLOUD_PROJECT: "mine" };
    const { exitCode, stderr } = await valkeep("instances list", { environment });
    expect(exitCode).toBe(2);
    expect(stderr).toContain("no local stack runs, and the environment variable VALKEEP_VAULT_BUCKET is not set");
  });

  it("a stack that is named and does not run is refused", async () => {
    const environment = { VALKEEP_STACK: join(directory, "nothing.json") };
    expect((await valkeep("instances list", { environment })).exitCode).toBe(3);
  });
});
