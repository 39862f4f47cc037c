import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { once } from "../../shared/pipeline/stream.ts";
import { log, preamble } from "../aof/files.ts";
import { createWorld, inbox } from "../pipeline/world.ts";
import { valkeep } from "./terminal.ts";

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-cli-"));
});
afterAll(() => rm(directory, { recursive: true }));

const whole = Buffer.concat([preamble(2), log("SELECT 0", "SET a 1", "MULTI", "INCR n", "EXEC")]);
const wholeBytes = Buffer.concat([preamble(2), log("SELECT 0", "SET a 1")]).length;
const torn = whole.subarray(0, -3);
const manifest = Buffer.from("file a.base.rdb seq 1 type b\nfile a.incr.aof seq 1 type i\n");

async function check(bytes: Uint8Array, flags = "--json") {
  const file = join(directory, "appendonly.aof");
  await writeFile(file, bytes);
  const { stdout, ...outcome } = await valkeep(`rdb check ${file} ${flags}`);
  return { ...outcome, stdout, report: flags === "--json" ? JSON.parse(stdout) : undefined };
}

/** A folder as a server leaves it. */
async function folder(name: string, files: Record<string, Uint8Array>): Promise<string> {
  await mkdir(join(directory, name));
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(directory, name, file), bytes);
  return join(directory, name);
}

describe("rdb check of an AOF", () => {
  it("tells of the preamble and of the commands behind it", async () => {
    const { exitCode, report } = await check(whole);
    expect([exitCode, report]).toEqual([
      0,
      {
        sizeBytes: whole.length,
        base: expect.objectContaining({ magic: "REDIS", keys: 2, crc64: "ok" }),
        commands: 2,
        transactions: 1,
        databases: [0],
        wholeBytes: whole.length,
        tornBytes: 0,
      },
    ]);
  });

  it("says of a torn tail, to the byte, what is behind the last whole command, and ends with 1", async () => {
    const { exitCode, report } = await check(torn);
    expect([exitCode, report]).toMatchObject([1, { commands: 1, wholeBytes, tornBytes: torn.length - wholeBytes }]);
    const { exitCode: same, stdout } = await check(torn, "");
    expect(same).toBe(1);
    expect(stdout).toContain(
      `torn: its last whole command ends before byte ${wholeBytes}, ${torn.length - wholeBytes} bytes are behind it`,
    );
  });

  it("shows the time of the last commands and the command that a restore would refuse", async () => {
    const { exitCode, stdout } = await check(
      Buffer.concat([Buffer.from("#TS:1700000000\r\n"), log("DEBUG RELOAD")]),
      "",
    );
    expect([exitCode, stdout.split("\n")]).toEqual([
      0,
      [
        "AOF, 43 B (43 bytes)",
        "1 commands into databases 0, 0 transactions, the last of them after 2023-11-14T22:13:20.000Z",
        "a restore refuses it: DEBUG, at byte 16, is no command that a restore sends",
        "",
      ],
    ]);
  });

  it("calls a file damaged in the middle DATA_LOSS and says where", async () => {
    const { exitCode, report } = await check(Buffer.concat([log("SET a 1"), Buffer.from("\0\0"), log("SET b 2")]));
    expect([exitCode, report]).toEqual([
      1,
      { error: { code: "DATA_LOSS", message: expect.any(String), offset: log("SET a 1").length } },
    ]);
  });

  it.each([
    ["# settings\nport 1\n", /^this is no RDB file.* and no AOF.*#TS:$/],
    ["\u001f\u008b\u0008", /^this is no RDB file.*packed by gzip, unpack it first$/],
  ])("calls what is neither an RDB file nor an AOF so: %j", async (text, reason) => {
    const { exitCode, report } = await check(Buffer.from(text, "latin1"));
    const message: string = report.error.message;
    expect([exitCode, message.replace("RDB file damaged at byte 0: ", "")]).toEqual([1, expect.stringMatching(reason)]);
  });

  it("reads standard input", async () => {
    const { exitCode, stdout } = await valkeep("rdb check - --json", { input: whole });
    expect([exitCode, JSON.parse(stdout).commands]).toEqual([0, 2]);
  });

  it("reads a folder as the server does: the base, then the increments", async () => {
    const path = await folder("appendonlydir", {
      "a.manifest": manifest,
      "a.base.rdb": preamble(3),
      "a.incr.aof": log("SELECT 0", "DEL a"),
    });
    for (const file of [path, join(path, "a.manifest")]) {
      const { exitCode, stdout } = await valkeep(`rdb check ${file} --json`);
      expect([exitCode, JSON.parse(stdout)]).toMatchObject([
        0,
        {
          commands: 1,
          tornBytes: 0,
          files: [
            { fileName: "a.base.rdb", type: "BASE", base: { keys: 3 }, commands: 0 },
            { fileName: "a.incr.aof", type: "INCREMENT", commands: 1 },
          ],
        },
      ]);
    }
  });

  it("takes an increment without a byte for what it is: the server has written nothing since", async () => {
    const files = { "a.manifest": manifest, "a.base.rdb": preamble(), "a.incr.aof": new Uint8Array() };
    const { exitCode, stdout } = await valkeep(`rdb check ${await folder("fresh", files)} --json`);
    expect([exitCode, JSON.parse(stdout)]).toMatchObject([0, { commands: 0, tornBytes: 0 }]);
  });

  it.each([
    ["an increment is missing", { "a.base.rdb": preamble() }, 3, /no file .*a\.incr\.aof/],
    [
      "a file is torn that others follow",
      { "a.base.rdb": log("SET a 1").subarray(0, -1), "a.incr.aof": log("SET b 1") },
      1,
      /a\.base\.rdb is torn at byte 0/,
    ],
    [
      "an increment is an RDB file",
      { "a.base.rdb": preamble(), "a.incr.aof": preamble() },
      1,
      /a\.incr\.aof is an RDB file/,
    ],
    [
      "a file is damaged",
      { "a.base.rdb": preamble(), "a.incr.aof": Buffer.from("PING\r\n") },
      1,
      /a\.incr\.aof: .*byte 0/,
    ],
    ["the manifest is damaged", { "a.manifest": Buffer.from("file") }, 1, /manifest damaged at byte 4/],
    ["two manifests are there", { "b.manifest": manifest }, 2, /several manifests/],
  ])("refuses a folder in which %s", async (name, files, code, message) => {
    const { exitCode, stderr } = await valkeep(
      `rdb check ${await folder(name.replaceAll(" ", "-"), { "a.manifest": manifest, ...files })}`,
    );
    expect([exitCode, stderr]).toEqual([code, expect.stringMatching(message)]);
  });

  it("reads a manifest in a bucket, and the files beside it", async () => {
    const { ports } = createWorld();
    const put = (name: string, bytes: Uint8Array) => ports.objects.create(inbox, `dir/${name}`, once(bytes), {});
    await put("a.manifest", manifest);
    await put("a.base.rdb", preamble());
    await put("a.incr.aof", torn.subarray(preamble(2).length));
    const { exitCode, stdout } = await valkeep(`rdb check gs://${inbox}/dir/a.manifest --json`, { ports });
    expect([exitCode, JSON.parse(stdout)]).toMatchObject([1, { commands: 1, tornBytes: torn.length - wholeBytes }]);
  });
});
