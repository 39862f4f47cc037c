import { setTimeout as sleep } from "node:timers/promises";
import { Valkey } from "iovalkey";

/** A connection for the length of one call. */
export async function using<T>(endpoint: string, work: (client: Valkey) => Promise<T>): Promise<T> {
  const [host = "", port] = endpoint.split(":");
  const client = new Valkey({ host, port: Number(port), retryStrategy: () => null, enableReadyCheck: false });
  // What goes wrong is thrown by the command that meets it.
  client.on("error", () => undefined);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}

/** One command. */
export async function command(endpoint: string, ...words: [string, ...string[]]): Promise<unknown> {
  const [name, ...rest] = words;
  return await using(endpoint, (client) => client.call(name, ...rest));
}

/** Keys in all databases. */
export async function countKeys(endpoint: string): Promise<number> {
  const keyspace = String(await command(endpoint, "INFO", "keyspace"));
  return [...keyspace.matchAll(/^db\d+:keys=(\d+)/gm)].reduce((sum, [, keys]) => sum + Number(keys), 0);
}

/** Waits until no snapshot is being made or sent: the server ends a replica's link up to a second after its last byte. */
export async function rest(endpoint: string): Promise<void> {
  await using(endpoint, async (client) => {
    for (;;) {
      const info = `${await client.call("INFO", "persistence")}${await client.call("INFO", "replication")}`;
      if (/rdb_bgsave_in_progress:0/.test(info) && /connected_slaves:0/.test(info)) return;
      await sleep(50);
    }
  });
}
