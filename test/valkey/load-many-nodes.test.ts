import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sparing } from "../../infra/local/services.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";

const MB = 1024 * 1024;

it("a load into 250 shards, one value of 64 MB among the keys, stays below 256 MB of memory", async () => {
  const file = join(tmpdir(), `valkeep-many-${process.pid}.rdb`);
  const nodes = start([join(import.meta.dirname, "../fixture/many-nodes.ts"), "250"]);
  try {
    const value = encodeString(Buffer.alloc(400, "v"));
    const large = encodeString(Buffer.alloc(64 * MB, "l"));
    const items = Array.from({ length: 300_000 }, (_, n) => ({
      kind: "record" as const,
      key: Buffer.from(`key:${n}`),
      type: 0,
      value: n === 200_000 ? large : value,
      db: 0,
    }));
    await writeFile(file, writeRdb({ magic: "REDIS", rdbVersion: 11 }, items));
    const endpoint = await firstLine(nodes);
    const loading = start([...sparing.flags, join(import.meta.dirname, "load-file.ts"), endpoint, file]);
    const found = JSON.parse(await firstLine(loading));
    expect(found).toMatchObject({ keys: 300_000, peakMb: expect.toSatisfy((mb: number) => mb < 256) });
  } finally {
    nodes.kill();
    await rm(file, { force: true });
  }
});

function start(args: string[]): ChildProcess {
  const environment = { ...process.env, ...sparing.environment };
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env: environment });
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("the process has no output");
  const [line] = await once(stdout, "data");
  return String(line).trim();
}
