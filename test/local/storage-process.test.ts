import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { crc32c } from "@node-rs/crc32";
import { afterEach, beforeEach, expect, it } from "vitest";
import { until } from "./processes.ts";
import { begin, clientOf, crc32cOf, kib256, multipart, objectUrl, put, send, someBytes } from "./storage-harness.ts";

const main = new URL("../../infra/local/storage/main.ts", import.meta.url).pathname;
let directory: string;
let child: ChildProcess;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-storage-"));
});

afterEach(async () => {
  if (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await rm(directory, { recursive: true });
});

/** Starts the server as a process and answers its address once it has printed it. */
async function start(environment: Record<string, string> = {}): Promise<string> {
  const args = [main, `--directory=${directory}`, "--port=0", "--project=test"];
  child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  if (child.stdout === null) throw new Error("no output");
  const [line] = await once(createInterface(child.stdout), "line");
  const [, url] = /^storage ready (http:\/\/127\.0\.0\.1:\d+)$/.exec(String(line)) ?? [];
  if (url === undefined) throw new Error(`unexpected output: ${line}`);
  return url;
}

async function kill(signal: NodeJS.Signals): Promise<unknown[]> {
  const exited = once(child, "exit");
  child.kill(signal);
  return exited;
}

it("ends on SIGTERM although an upload is under way, and goes on with it afterwards", async () => {
  const url = await start();
  await clientOf(url).createBucket("bucket");
  const uri = new URL(await begin(url, "object"));
  const bytes = someBytes(4 * kib256);
  await put(uri.href, `0-${kib256 - 1}/*`, bytes.subarray(0, kib256));
  const socket = connect(Number(uri.port), "127.0.0.1").on("error", () => socket.destroy());
  socket.write(
    `PUT ${uri.pathname}${uri.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 786432\r\nContent-Range: bytes 262144-1048575/1048576\r\n\r\n`,
  );
  socket.write(bytes.subarray(kib256, kib256 + 1000));
  expect(await kill("SIGTERM")).toEqual([0, null]);
  const again = (await start()) + uri.pathname + uri.search;
  expect((await put(again, "*/*")).headers.get("range")).toBe(`bytes=0-${kib256 - 1}`);
  expect((await put(again, `${kib256}-1048575/1048576`, bytes.subarray(kib256))).json.crc32c).toBe(crc32cOf(bytes));
});

it("has every finished object and no other after kill -9 in the middle of many uploads", async () => {
  const url = await start();
  await clientOf(url).createBucket("bucket");
  const finished = new Map<string, Buffer>();
  const uploads = Array.from({ length: 4 }, async (_, lane) => {
    for (let round = 0; ; round++) {
      const bytes = someBytes(200_000);
      const answer = await multipart(url, `${lane}/${round}`, bytes).catch(() => undefined);
      if (answer?.status !== 200) return;
      finished.set(`${lane}/${round}`, bytes);
    }
  });
  await until(() => finished.size > 40);
  await kill("SIGKILL");
  await Promise.all(uploads);
  const bucket = clientOf(await start()).bucket("bucket");
  const [files] = await bucket.getFiles();
  const names = files.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining([...finished.keys()]));
  // At most one object in each lane was finished without its client hearing of it.
  expect(names.length).toBeLessThanOrEqual(finished.size + 4);
  for (const file of files) expect((await file.download())[0]).toHaveLength(200_000);
  expect(await readdir(join(directory, "bytes"))).toHaveLength(names.length);
});

it("clears away at its start what a crash left behind", async () => {
  let url = await start();
  await clientOf(url).createBucket("bucket");
  await multipart(url, "object", Buffer.from("hello"));
  await kill("SIGKILL");
  await writeFile(join(directory, "bytes", "half"), "nobody's");
  await writeFile(join(directory, "buckets", "bucket", "objects", "ab.json.tmp"), '{"name":');
  url = await start();
  expect((await send(objectUrl(url, "object", "?alt=media"))).body.toString()).toBe("hello");
  expect(await readdir(join(directory, "bytes"))).toHaveLength(1);
  expect(await readdir(join(directory, "buckets", "bucket", "objects"))).toHaveLength(1);
});

it("does not start on a file that is not its own, and names it", async () => {
  await mkdir(join(directory, "uploads"), { recursive: true });
  await writeFile(join(directory, "uploads", "x.json"), "{");
  const args = [main, `--directory=${directory}`, "--port=0", "--project=test"];
  child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  const lines = child.stderr === null ? "" : once(createInterface(child.stderr), "line");
  expect(await once(child, "exit")).toEqual([1, null]);
  expect(String(await lines)).toContain(join(directory, "uploads", "x.json"));
});

it("finishes a session whose object had appeared when it crashed before writing that down", async () => {
  let url = await start();
  await clientOf(url).createBucket("bucket");
  const uri = new URL(await begin(url, "object", "&ifGenerationMatch=0"));
  const path = join(directory, "uploads", `${uri.searchParams.get("upload_id")}.json`);
  const unfinished = await readFile(path);
  const { json } = await put(uri.href, "0-4/5", Buffer.from("hello"));
  await kill("SIGKILL");
  await writeFile(path, unfinished);
  url = await start();
  const answer = await put(url + uri.pathname + uri.search, "*/*");
  expect([answer.status, answer.json.generation]).toEqual([200, json.generation]);
  expect((await send(objectUrl(url, "object", "?alt=media"))).body.toString()).toBe("hello");
});

it("takes and gives 200 MB without holding them", async () => {
  const url = await start();
  await clientOf(url).createBucket("bucket");
  const chunk = someBytes(8 << 20);
  const chunks = 25;
  const total = chunks * chunk.length;
  const uri = await begin(url, "object");
  for (let at = 0; at < total; at += chunk.length) {
    const end = at + chunk.length;
    await put(uri, `${at}-${end - 1}/${end === total ? total : "*"}`, chunk);
  }
  let [read, crc] = [0, 0];
  await new Promise<void>((resolve, reject) => {
    request(objectUrl(url, "object", "?alt=media"), async (answer) => {
      for await (const part of answer) {
        read += part.length;
        crc = crc32c(part, crc);
      }
      resolve();
    })
      .on("error", reject)
      .end();
  });
  let expected = 0;
  for (let round = 0; round < chunks; round++) expected = crc32c(chunk, expected);
  expect([read, crc]).toEqual([total, expected]);
  const status = await readFile(`/proc/${child.pid}/status`, "utf8");
  expect(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(170 * 1024);
});

it("publishes notifications to the emulator that the environment names", async () => {
  const bodies: unknown[] = [];
  const pubsub = createServer(async (incoming, answer) => {
    const chunks: Buffer[] = [];
    for await (const part of incoming) chunks.push(part);
    bodies.push([incoming.url, JSON.parse(Buffer.concat(chunks).toString())]);
    answer.end("{}");
  }).listen(0, "127.0.0.1");
  await once(pubsub, "listening");
  const url = await start({ PUBSUB_EMULATOR_HOST: `127.0.0.1:${(pubsub.address() as AddressInfo).port}` });
  const [bucket] = await clientOf(url).createBucket("bucket");
  await bucket.createNotification("events");
  const { json } = await multipart(url, "object", Buffer.from("hello"));
  await until(() => bodies.length === 1);
  const data = Buffer.from(JSON.stringify(json)).toString("base64");
  const attributes = expect.objectContaining({ eventType: "OBJECT_FINALIZE", objectId: "object" });
  expect(bodies).toEqual([["/v1/projects/test/topics/events:publish", { messages: [{ data, attributes }] }]]);
  pubsub.closeAllConnections();
  pubsub.close();
});

it("says how it is used when an argument is missing", async () => {
  child = spawn(process.execPath, [main, "--port=0"], { stdio: "ignore" });
  expect(await once(child, "exit")).toEqual([2, null]);
});
