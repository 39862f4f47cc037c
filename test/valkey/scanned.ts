import type { Instance } from "../../shared/backup/backup.ts";
import type { ScanMark } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import type { RdbRecord } from "../../shared/rdb/entry.ts";
import type { Stretch } from "../../shared/rdb/reader.ts";
import { records } from "../../shared/rdb/records.ts";
import { calm, instanceAt, valkey } from "./fixture.ts";

/** As Memorystore and ElastiCache keep them to themselves. */
const kept = ["psync", "sync", "replconf", "config", "debug", "bgsave", "save", "bgrewriteaof", "replicaof", "acl"];

/** Makes a user who may do what an application may on a managed service, and nothing more. */
export const managedUser: string[] = [
  ...["ACL", "SETUSER", "app", "on", ">x", "~*", "&*", "+@all"],
  ...kept.map((name) => `-${name}`),
];

export const asManaged = (endpoint: string, changes: Partial<Instance> = {}): Instance =>
  instanceAt(endpoint, { authUser: "app", authSecret: "secret:x", ...changes });

/** The whole file of a server, by SCAN. */
export async function scanOf(instance: Instance, shard = 0): Promise<Buffer> {
  return await collect(valkey.scan(instance, { shard }, { isTimeUp: () => false, onEnd: () => undefined }, calm()));
}

/** The file in pieces, each by a call of its own whose time is up once it was asked for so often: about each thousand keys. */
export async function scanInPieces(instance: Instance, askedCount: number): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  let from: ScanMark | undefined;
  do {
    let asked = 0;
    let mark: ScanMark | undefined;
    const options = {
      ...(from !== undefined && { from }),
      async *written({ start, end: stop }: { start: number; end: number }) {
        yield Buffer.concat(pieces).subarray(start, stop);
      },
      isTimeUp: () => ++asked > askedCount,
      onEnd(reached: ScanMark | undefined) {
        mark = reached;
      },
    };
    pieces.push(await collect(valkey.scan(instance, { shard: 0 }, options, calm())));
    from = mark;
  } while (from !== undefined);
  return pieces;
}

/** The records of a file, or of a stretch of one, by database and key; throws for a key that comes twice. */
export async function recordsOf(file: Uint8Array, stretch?: Stretch): Promise<Map<string, RdbRecord>> {
  const found = new Map<string, RdbRecord>();
  for await (const entries of records([file], { stretch }))
    for (const entry of entries) {
      if (entry.kind !== "record") continue;
      const name = `${entry.db}/${Buffer.from(entry.key).toString()}`;
      if (found.has(name)) throw new Error(`${name} is in the file twice`);
      found.set(name, entry);
    }
  return found;
}
