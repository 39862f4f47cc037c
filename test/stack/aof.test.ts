import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { once } from "../../shared/pipeline/stream.ts";
import { entry, log, preamble } from "../aof/files.ts";
import { aofOf } from "../aof/written.ts";
import { type Fingerprint, fingerprint } from "../fixture/dataset.ts";
import { until } from "../fixture/until.ts";
import { send } from "../valkey/client.ts";
import { holdings } from "./data.ts";
import { assertAtRest, openStage, type Stage } from "./stage.ts";

/** What a real server has left in its `appendonlydir`, in a bucket, restored by the functions. */
let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ isQuick: true });
});

afterAll(async () => await stage[Symbol.asyncDispose]());

/** Uploads a folder of an AOF, the manifest last, and answers its URI. */
async function uploaded(directory: string, folder: string): Promise<string> {
  const bucket = stage.stack.stack.storage.inboxBucket;
  const names = (await readdir(directory)).sort((a, b) => Number(/manifest$/.test(a)) - Number(/manifest$/.test(b)));
  for (const name of names)
    await stage.ports.objects.create(bucket, `${folder}/${name}`, once(await readFile(join(directory, name))), {});
  return `gs://${bucket}/${folder}/${names.at(-1)}`;
}

/** What a server holds, but when it last heard of a group's consumers: that is when the commands were carried out. */
async function held(endpoint: string): Promise<Fingerprint> {
  const found = await fingerprint(endpoint);
  return JSON.parse(JSON.stringify(found).replaceAll(/"(seen|active)-time",\d+/g, '"$1-time",0'));
}

it("restores what the server holds from its AOF, by its manifest", { timeout: 120_000 }, async () => {
  const source = await aofOf("8.0");
  try {
    const wanted = await held(source.server.endpoint);
    const uri = await uploaded(source.directory, "whole");
    const target = await stage.valkey({ version: "8.1" });
    await stage.register("whole", target.endpoint);
    const { error, response } = await stage.done("restore.v1.requested", { instance: "whole", gcsSourceUris: [uri] });
    expect(error).toBeUndefined();
    expect(response).toMatchObject({ tornBytes: 0, commands: expect.any(Number) });
    expect(await held(target.endpoint)).toEqual(wanted);
    expect(String(await send(target.endpoint, ["CONFIG", "GET", "import-mode"]))).toBe("import-mode,no");
  } finally {
    await source.dispose();
  }
  await assertAtRest(stage);
});

it("ends in what a server loads itself from a torn AOF, though the function host is killed in the middle", {
  timeout: 240_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-aof-"));
  try {
    const folder = join(directory, "appendonlydir");
    await mkdir(folder);
    const pushes = Array.from({ length: 150_000 }, (_, n) =>
      entry("RPUSH", `list-${n % 50}`, `${n}`.padStart(60, "-")),
    );
    const increment = Buffer.concat([log("SELECT 0"), ...pushes]);
    const last = log("SELECT 2", "INCR n", "APPEND list v", "MULTI", "INCR n", "INCR n", "EXEC");
    const files = {
      "appendonly.aof.1.base.rdb": preamble(100),
      "appendonly.aof.1.incr.aof": increment,
      "appendonly.aof.2.incr.aof": last.subarray(0, -1),
      "appendonly.aof.manifest":
        "file appendonly.aof.1.base.rdb seq 1 type b\n" +
        "file appendonly.aof.1.incr.aof seq 1 type i\nfile appendonly.aof.2.incr.aof seq 2 type i\n",
    };
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
    const uri = await uploaded(folder, "torn");

    const target = await stage.valkey({ version: "8.0" });
    const gate = await stage.gate(target.endpoint);
    await stage.register("torn", gate.endpoint);
    const half = gate.shut("up", increment.length / 2);
    const restoring = await stage.ask("restore.v1.requested", { instance: "torn", gcsSourceUris: [uri] });
    await half;
    const pid = stage.stack.pids()["functions-load"];
    stage.stack.killFunctions();
    await until(async () => stage.stack.pids()["functions-load"] !== pid, "another function host");
    // What the dead one had on its way arrives late.
    gate.open();
    const { error, response, checks } = await stage.ended(restoring);

    expect(error).toBeUndefined();
    const tornBytes = last.length - 1 - log("SELECT 2", "INCR n", "APPEND list v").length;
    expect(response).toMatchObject({ commands: 150_002, tornBytes });
    expect(checks?.find(({ name }) => name === "replay")).toMatchObject({ result: "WARN" });
    const attempts = (await stage.tasks(restoring)).map(({ attempt }) => attempt);
    expect(Math.max(...attempts)).toBeGreaterThan(1);
    const native = await stage.valkey({ version: "8.0", directory, args: ["--appendonly", "yes"] });
    expect(await holdings(target.endpoint)).toEqual(await holdings(native.endpoint));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  await assertAtRest(stage);
});
