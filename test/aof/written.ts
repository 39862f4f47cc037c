import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startValkey, type ValkeyRelease, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { fillEverything } from "../fixture/dataset.ts";
import { send } from "../valkey/client.ts";

export const versions: readonly ValkeyRelease[] = ["redis-7.0", "8.0", "8.1", "9.1"];

/** The AOF of a server that has written everything that one writes: its base has been rewritten, and commands have come since. */
export async function aofOf(
  version: ValkeyRelease,
  preamble: "yes" | "no" = "yes",
): Promise<{ directory: string; server: ValkeyServer; dispose(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-aof-"));
  const server = await startValkey({
    version,
    directory,
    args: [
      "--appendonly",
      "yes",
      "--aof-use-rdb-preamble",
      preamble,
      "--aof-timestamp-enabled",
      "yes",
      // Every command is in the file before its reply; that the disk has it nobody needs, and others are busy there.
      "--appendfsync",
      "no",
    ],
  });
  await fillEverything(server.endpoint);
  await rewritten(server.endpoint);
  // A remark of the time comes with the first command of another second.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await fillIncrement(server.endpoint);
  return {
    directory: join(directory, "appendonlydir"),
    server,
    async dispose() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Has the server write its base anew, and waits until it has. */
async function rewritten(endpoint: string): Promise<void> {
  await send(endpoint, ["BGREWRITEAOF"]);
  for (let isUnderWay = true; isUnderWay; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const info = String(await send(endpoint, ["INFO", "persistence"]));
    isUnderWay = !/aof_rewrite_in_progress:0\r\n/.test(info) || !/aof_rewrite_scheduled:0\r\n/.test(info);
  }
}

/** Commands that do not come to the same if they are carried out twice, and such as a server writes down differently. */
async function fillIncrement(endpoint: string): Promise<void> {
  await send(
    endpoint,
    ...Array.from({ length: 300 }, (_, n) => ["RPUSH", "list", n, `${n}`.repeat(n)]),
    ...Array.from({ length: 300 }, () => ["INCR", "counter"]),
    ["SELECT", 3],
    ["SET", "soon", "v", "EX", 100_000],
    ["XADD", "events", "*", "f", "v"],
    ["XGROUP", "CREATE", "events", "group", 0],
    ["XREADGROUP", "GROUP", "group", "me", "STREAMS", "events", ">"],
    ["MULTI"],
    ["INCRBYFLOAT", "float", "1.5"],
    ["APPEND", "text", "ab"],
    ["EXEC"],
    ["EVAL", "redis.call('INCR', KEYS[1]) redis.call('RPUSH', KEYS[2], 1)", 2, "n", "l"],
    ["SADD", "set", 1, 2, 3],
    ["SPOP", "set"],
    ["SORT", "list", "STORE", "sorted"],
    ["MOVE", "text", 5],
    ["SWAPDB", 7, 8],
    ["SELECT", 0],
    ["FUNCTION", "LOAD", "#!lua name=late\nredis.register_function('late_one', function() return 1 end)"],
    ["SET", "gone", "v", "PX", 1],
    ["GETDEL", "counter2"],
    ["DEL", "list2", "list"],
    ["RPUSH", "list", "last"],
  );
}
