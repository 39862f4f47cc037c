import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { sparing } from "../../infra/local/services.ts";
import { slotCount } from "../../shared/backup/slots.ts";
import type { LoadSource } from "../../shared/pipeline/ports.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";
import { createValkey } from "../../shared/valkey/index.ts";
import { calm, firstAttempt, instanceAt, sourceOf } from "./fixture.ts";

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

it("large values wait for their turn as long as it takes, and no node is taken for silent meanwhile", async () => {
  const nodes = start([join(import.meta.dirname, "../fixture/many-nodes.ts"), "9"]);
  try {
    const value = encodeString(Buffer.alloc(9 * MB, "l"));
    // One for each node, of which four at a time are sent.
    const items = Array.from({ length: 9 }, (_, node) => ({
      kind: "record" as const,
      key: Buffer.from(keyAt(node, 9)),
      type: 0,
      value,
      db: 0,
    }));
    const file = await sourceOf(writeRdb({ magic: "REDIS", rdbVersion: 11 }, items), MB);
    const slow: LoadSource = {
      ...file,
      async *read(range, signal) {
        if (range.start > 0) await sleep(1_000);
        yield* file.read(range, signal);
      },
    };
    const patient = createValkey({ resolveSecret: async () => "", silenceMs: 1_500 });
    const cluster = instanceAt(await firstLine(nodes), { mode: "CLUSTER" });
    expect((await patient.load(cluster, slow, firstAttempt, calm())).databases).toEqual({ 0: { keys: 9, expires: 0 } });
  } finally {
    nodes.kill();
  }
});

/** A key that belongs to this one of so many nodes, which divide the slots evenly. */
function keyAt(node: number, count: number): string {
  for (let n = 0; ; n++) if (Math.floor((slotOf(Buffer.from(`k${n}`)) * count) / slotCount) === node) return `k${n}`;
}

function start(args: string[]): ChildProcess {
  const environment = { ...process.env, ...sparing.environment };
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env: environment });
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("the process has no output");
  const [line] = await once(stdout, "data");
  return String(line).trim();
}
