import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeString, rdbChunks, writeRdb } from "../../shared/rdb/writer.ts";
import type { Outcome } from "./terminal.ts";

const launcher = join(import.meta.dirname, "../../infra/cli/valkeep");
/** The system's own programs; its Node, if it has one, may be old. */
const environment = { PATH: "/usr/bin:/bin", VALKEEP_STACK: "none" };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-cli-"));
});
afterAll(() => rm(directory, { recursive: true }));

function start(program: string, args: string[]) {
  return spawn(program, args, { env: environment, cwd: directory });
}

async function ended(child: ReturnType<typeof start>): Promise<Outcome> {
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { exitCode: code ?? signal, stdout, stderr };
}

describe("the launcher", () => {
  it("runs under a PATH without the project's Node, through a link, from any directory", async () => {
    const link = join(directory, "valkeep");
    await symlink(launcher, link);
    const { exitCode, stdout, stderr } = await ended(start(link, ["--help"]));
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^usage: valkeep NOUN VERB/);
  });

  it("passes on the exit code", async () => {
    expect((await ended(start(launcher, ["backups", "create"]))).exitCode).toBe(2);
  });

  it("reads a whole file from standard input", async () => {
    const child = start(launcher, ["rdb", "check", "-", "--json"]);
    const records = Array.from({ length: 1_000 }, (_, i) => ({
      ...{ kind: "record" as const, db: 0, type: 0 },
      key: Buffer.from(`key ${i}`),
      value: encodeString("x".repeat(1_000)),
    }));
    for (const chunk of rdbChunks({ magic: "VALKEY", rdbVersion: 80 }, records)) child.stdin.write(chunk);
    child.stdin.end();
    const { exitCode, stdout } = await ended(child);
    expect([exitCode, JSON.parse(stdout).keys]).toEqual([0, 1_000]);
  });

  it("does not complain when nobody reads on", async () => {
    const records = Array.from({ length: 5_000 }, (_, db) => ({
      ...{ kind: "record" as const, db, type: 0 },
      ...{ key: Buffer.from("key"), value: encodeString("value") },
    }));
    const file = join(directory, "many.rdb");
    await writeFile(file, Buffer.concat([...rdbChunks({ magic: "VALKEY", rdbVersion: 80 }, records)]));
    const child = start(launcher, ["rdb", "check", file, "--json"]);
    child.stdout.once("data", () => child.stdout.destroy());
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
    expect([code, stderr]).toEqual([0, ""]);
  });

  it("tells how it ended even if nobody reads what it says", async () => {
    const file = join(directory, "torn.aof");
    await writeFile(file, "*1\r\n");
    const child = start(launcher, ["rdb", "check", file]);
    child.stdout.destroy();
    child.stderr.destroy();
    expect(await once(child, "exit")).toEqual([1, null]);
  });

  it.each(["schedules list", "status"])("says that there are no credentials: %s", async (line) => {
    const project = { GOOGLE_CLOUD_PROJECT: "p", VALKEEP_LOCATION: "l" };
    const buckets = { VALKEEP_VAULT_BUCKET: "vault", VALKEEP_INBOX_BUCKET: "inbox" };
    // No machine's own: neither of its metadata server nor of whoever runs this.
    const nobody = { HOME: directory, CLOUDSDK_CONFIG: directory, METADATA_SERVER_DETECTION: "none" };
    const env = { ...environment, ...project, ...buckets, ...nobody };
    const child = spawn(launcher, [...line.split(" "), "--json"], { env, cwd: directory });
    const { exitCode, stdout, stderr } = await ended(child);
    expect([exitCode, JSON.parse(stdout), stderr]).toEqual([
      1,
      { error: { code: "UNAUTHENTICATED", message: expect.stringMatching(/no credentials.*gcloud auth/) } },
      "",
    ]);
  });

  it("ends with 130 at Ctrl-C", async () => {
    const child = start(launcher, ["rdb", "check", "-"]);
    const outcome = ended(child);
    const record = { kind: "record" as const, db: 0, type: 0, key: Buffer.from("key") };
    const file = writeRdb({ magic: "VALKEY", rdbVersion: 80 }, [
      { ...record, value: encodeString("x".repeat(2 ** 20)) },
    ]);
    // More than a pipe holds: once it is gone the command is reading, and waits for the rest.
    await new Promise((resolve) => child.stdin.write(file.subarray(0, -1), resolve));
    child.kill("SIGINT");
    expect((await outcome).exitCode).toBe(130);
  });
});
