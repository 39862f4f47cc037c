import { execFileSync } from "node:child_process";
import { mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileSource } from "../../infra/cli/file-source.ts";
import { collect } from "../../shared/pipeline/stream.ts";

const chunkBytes = 1024 * 1024;
const calm = new AbortController().signal;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-file-source-"));
});
afterAll(() => rm(directory, { recursive: true }));

/** A file in which every four bytes tell where they are. */
async function fileOf(bytes: number): Promise<{ path: string; content: Buffer }> {
  const content = Buffer.alloc(Math.ceil(bytes / 4) * 4);
  for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at);
  const path = join(directory, `${bytes}`);
  await writeFile(path, content.subarray(0, bytes));
  return { path, content: content.subarray(0, bytes) };
}

describe("a file as a source", () => {
  it.each([
    0,
    1,
    chunkBytes - 1,
    chunkBytes,
    chunkBytes + 1,
    5 * chunkBytes + 7,
  ])("is all of its %i bytes, in their order", async (bytes) => {
    const { path, content } = await fileOf(bytes);
    expect((await collect(fileSource(path, calm))).equals(content)).toBe(true);
  });

  it("leaves a chunk as it is until the next one is asked for", async () => {
    const { path, content } = await fileOf(3 * chunkBytes);
    let at = 0;
    for await (const chunk of fileSource(path, calm)) {
      // Time enough for what is read ahead to arrive.
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(content.subarray(at, at + chunk.length).equals(chunk)).toBe(true);
      at += chunk.length;
    }
    expect(at).toBe(content.length);
  });

  it("closes the file when it is left early", async () => {
    const { path } = await fileOf(4 * chunkBytes);
    const before = (await readdir("/proc/self/fd")).length;
    for (let round = 0; round < 5; round++) for await (const _ of fileSource(path, calm)) break;
    expect((await readdir("/proc/self/fd")).length).toBe(before);
  });

  it("can be a pipe, and is left although its writer is silent", async () => {
    const path = join(directory, "pipe");
    execFileSync("mkfifo", [path]);
    const writer = open(path, "w");
    const source = fileSource(path, calm);
    const first = source.next();
    await (await writer).write("some bytes");
    expect(Buffer.from((await first).value ?? []).toString()).toBe("some bytes");
    expect(await source.return()).toEqual({ done: true, value: undefined });
    await (await writer).close();
  });

  it("ends with the signal's reason once it is aborted", async () => {
    const { path } = await fileOf(3 * chunkBytes);
    const interruption = new AbortController();
    const source = fileSource(path, interruption.signal);
    await source.next();
    interruption.abort(new Error("enough"));
    await expect(source.next()).rejects.toThrow("enough");
  });

  it.each([
    ["a file that is not there", "absent", "NOT_FOUND"],
    ["a directory", ".", "INVALID_ARGUMENT"],
  ])("says what is wrong with %s", async (_, name, code) => {
    await expect(collect(fileSource(join(directory, name), calm))).rejects.toMatchObject({ code });
  });
});
