import type { Instance } from "../backup/backup.ts";
import type { Inspection } from "../backup/health.ts";
import { ReplicationRefused, StatusError } from "../error.ts";
import type { Layout, Server, Valkey } from "../pipeline/ports.ts";
import { writeRdb } from "../rdb/writer.ts";
import { dumpOf, exchangeIn, type Key, nameOf } from "./keys.ts";
import { loadInto } from "./load.ts";
import { beginReplay, decodeText, encodeText, endReplay, type MemoryStrings, replay, replayMark } from "./replay.ts";
import { described, inspection } from "./server-answers.ts";
import { memoryScan } from "./valkey-scan.ts";

/** One deployment in memory: its shards' keys, by database and key in hex. */
export interface MemoryServer {
  shards: Map<string, Key>[];
  functions: Set<string>;
  runId: string;
  /** Overrides what `describe` answers. */
  answers: Partial<Server>;
  /** What differs of INFO and of the settings that `inspect` answers; a setting that is `undefined` cannot be read. */
  inspected: { info?: Record<string, string>; config?: { [K in keyof Inspection["config"]]?: string | undefined } };
  /** What its snapshots send in place of its keys, to stand for a server that sends something else. */
  sends: Uint8Array | undefined;
  /** Slots, nodes, hosts and zones of its shards; a server without cluster mode where absent. */
  layout: Layout["shards"] | undefined;
  /** As a managed service does. */
  refusesReplication: boolean;
  /** Keys that one call of a scan reads before its time is up; all of them where absent. */
  keysOfScan: number | undefined;
}

export interface MemoryValkey extends Valkey {
  /** Puts a deployment behind an endpoint, empty, with so many shards. */
  start(endpoint: string, shardCount?: number): MemoryServer;
  /** Puts one behind a second endpoint. */
  alias(endpoint: string, server: MemoryServer): void;
  /** The deployments, by endpoint. */
  readonly servers: ReadonlyMap<string, MemoryServer>;
  /** Nobody answers there from now on. */
  stop(endpoint: string): void;
}

/** Valkey in memory. Its snapshots are real RDB files of version 11, in chunks of `chunkBytes`. */
export function createMemoryValkey({ chunkBytes = 64 }: { chunkBytes?: number } = {}): MemoryValkey {
  const servers = new Map<string, MemoryServer>();
  let startCount = 0;
  /** Who replays into a server, or is about to. */
  const replayers = new Map<MemoryServer, Set<{ isCut: boolean }>>();

  /** Acts as a replayer that has named its connection, made sure of its lease, and cut off all others. */
  async function connected<T>(
    server: MemoryServer,
    confirm: () => Promise<void>,
    act: (strings: MemoryStrings, isCut: () => boolean) => Promise<T>,
  ): Promise<T> {
    const self = { isCut: false };
    const all = replayers.get(server) ?? new Set();
    replayers.set(server, all.add(self));
    try {
      await confirm();
      if (self.isCut) throw new StatusError("UNAVAILABLE", "the server closed the link");
      for (const other of all) other.isCut = other !== self;
      return await act(stringsOf(server), () => self.isCut);
    } finally {
      all.delete(self);
    }
  }

  function find({ endpoint }: Instance): MemoryServer {
    const server = servers.get(endpoint);
    if (server === undefined) throw new StatusError("UNAVAILABLE", `nobody answers at ${endpoint}`);
    return server;
  }

  return {
    servers,
    start(endpoint, shardCount = 1) {
      const shards = Array.from({ length: shardCount }, () => new Map<string, Key>());
      const server = {
        shards,
        functions: new Set<string>(),
        runId: `run-${++startCount}`,
        answers: {},
        inspected: {},
        sends: undefined,
        layout: undefined,
        refusesReplication: false,
        keysOfScan: undefined,
      };
      servers.set(endpoint, server);
      return server;
    },
    alias: (endpoint, server) => void servers.set(endpoint, server),
    stop: (endpoint) => void servers.delete(endpoint),
    describe: async (instance) => described(find(instance)),
    inspect: async (instance) => [inspection(instance.endpoint, find(instance))],
    shardCount: async (instance) => find(instance).shards.length,
    async plan(instance) {
      const { layout, shards } = find(instance);
      return { shards: layout ?? shards.map(() => ({})), seeds: [] };
    },
    async *snapshot(instance, { shard, slots }, signal, onSource) {
      const server = find(instance);
      if (server.refusesReplication)
        throw new ReplicationRefused("PERMISSION_DENIED", `${instance.endpoint} keeps PSYNC to itself`);
      const now = server.layout?.[shard]?.slots;
      if (slots !== now)
        throw new StatusError(
          "FAILED_PRECONDITION",
          `shard ${shard} had the slots ${slots}, now ${now}: slots have moved`,
        );
      const node = server.layout?.[shard]?.node ?? server.runId;
      onSource?.({ node, sourceRole: "PRIMARY", replicationId: server.runId, replicationOffset: 0 });
      const file = server.sends ?? fileOf(server, shard);
      for (let start = 0; start < file.byteLength; start += chunkBytes) {
        signal.throwIfAborted();
        if (!servers.has(instance.endpoint))
          throw new StatusError("UNAVAILABLE", `${instance.endpoint} closed the link`);
        yield file.subarray(start, start + chunkBytes);
      }
    },
    async *scan(instance, { shard }, options, signal, onSource) {
      onSource?.({ sourceRole: "PRIMARY" });
      for (const chunk of memoryScan(find(instance), shard, options, instance.endpoint)) {
        signal.throwIfAborted();
        yield chunk;
      }
    },
    load: async (instance, source, options, signal) => await loadInto(find(instance), source, options, signal),
    dump: (instance, database, keys, signal) => dumpOf(find(instance).shards[0], database, keys, signal),
    exchange: async (instance, exchanges, options, signal) =>
      await exchangeIn(find(instance).shards[0], exchanges, options, signal),
    beginReplay: (instance, { operation, confirm }) =>
      connected(find(instance), confirm, async (strings) => beginReplay(strings, operation)),
    replayMark: async (instance, operation) => replayMark(stringsOf(find(instance)), operation),
    replay: (instance, logs, options, signal) =>
      connected(find(instance), options.confirm, async (strings, isCut) => {
        const isGone = () => isCut() || !servers.has(instance.endpoint);
        await replay(strings, logs, options, isGone, signal);
      }),
    endReplay: (instance, { operation, confirm }) =>
      connected(find(instance), confirm, async (strings) => endReplay(strings, operation)),
  };
}

function fileOf({ shards, functions }: MemoryServer, shard: number): Uint8Array {
  const keys = [...(shards[shard] ?? [])].map(([name, key]) => {
    const [db = "0", hex = ""] = name.split(":");
    return { kind: "record" as const, db: Number(db), key: Buffer.from(hex, "hex"), ...key };
  });
  const code = [...functions].map((text) => ({ kind: "function" as const, code: Buffer.from(text) }));
  return writeRdb({ magic: "REDIS", rdbVersion: 11 }, [...code, ...keys]);
}

/** The strings of its first shard. */
const stringsOf = ({ shards: [shard] }: MemoryServer): MemoryStrings => ({
  get(db, key) {
    const found = shard?.get(keyName(db, key));
    return found === undefined ? undefined : decodeText(found.value);
  },
  set: (db, key, value) => void shard?.set(keyName(db, key), { type: 0, expireTimeMs: -1, value: encodeText(value) }),
  remove: (db, key) => void shard?.delete(keyName(db, key)),
});

/** The name under which a server in memory keeps a key. */
export const keyName = (db: number, key: string): string => nameOf(db, Buffer.from(key));
