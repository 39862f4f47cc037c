import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import type { LoadSource } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { check } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import { createValkey } from "../../shared/valkey/index.ts";
import { type Fingerprint, fillEverything, fingerprint } from "../fixture/dataset.ts";

/** Secrets are `secret:<password>` here. */
export const valkey = createValkey({ resolveSecret: async (reference) => reference.replace(/^secret:/, "") });

/** Without a save delay and with the snapshot straight from the socket. */
export const diskless = ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"];

export function instanceAt(endpoint: string, changes: Partial<Instance> = {}): Instance {
  return {
    name: "instances/orders",
    uid: "1",
    engine: "SELF_MANAGED",
    mode: "CLUSTER_DISABLED",
    endpoint,
    transitEncryptionMode: "TRANSIT_ENCRYPTION_DISABLED",
    location: "europe-west1",
    shardCount: 1,
    replicaCount: 0,
    automatedBackupConfig: { automatedBackupMode: "DISABLED", retentionSeconds: 86_400 },
    deletionProtectionEnabled: false,
    createTime: "2026-01-01T00:00:00.000Z",
    ...changes,
  };
}

/** A signal that nobody aborts. */
export function calm(): AbortSignal {
  return new AbortController().signal;
}

export function snapshotOf(endpoint: string): Promise<Buffer> {
  return collect(valkey.snapshot(instanceAt(endpoint), { shard: 0 }, calm()));
}

/** The file of a Valkey 8.0 that held every type, and what it held. */
export async function everything(): Promise<{ file: LoadSource; original: Fingerprint }> {
  const source = await startValkey({ version: "8.0", args: diskless });
  try {
    await fillEverything(source.endpoint);
    const file = await sourceOf(await snapshotOf(source.endpoint));
    return { file, original: await fingerprint(source.endpoint) };
  } finally {
    await source.stop();
  }
}

/** A file in memory, handed out in pieces. */
export async function sourceOf(file: Uint8Array, pieceBytes = 65_536): Promise<LoadSource> {
  return {
    facts: factsOf(await check([file])),
    async *read({ start, end = file.length }) {
      for (let at = start; at < end; at += pieceBytes) yield file.subarray(at, Math.min(end, at + pieceBytes));
    },
  };
}

/** The same file, and something happens once half of it has been read. */
export function atHalf(source: LoadSource, act: () => void | Promise<void>): LoadSource {
  return {
    ...source,
    async *read(range, signal) {
      let left = range.start === 0 ? source.facts.sizeBytes / 2 : Number.POSITIVE_INFINITY;
      for await (const piece of source.read(range, signal)) {
        if (left > 0 && left <= piece.length) await act();
        left -= piece.length;
        yield piece;
      }
    },
  };
}

/** To the server itself, such as SIGSTOP. */
export function signal({ pid }: ValkeyServer, name: NodeJS.Signals): void {
  if (pid === undefined) throw new Error("the server has ended");
  process.kill(pid, name);
}

export const firstAttempt = {
  operation: "restore-7",
  part: 0,
  epoch: 1,
  confirm: async () => undefined,
  replace: false,
  now: () => 0,
  withFunctions: true,
};
