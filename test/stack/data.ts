import { Valkey } from "iovalkey";

/** Makes `megabytes` of keys of 100,000 bytes, and has the server write them uncompressed: an RDB file of about that size. */
export async function fillBulk(endpoint: string, megabytes: number): Promise<void> {
  await using(endpoint, async (client) => {
    await client.config("SET", "rdbcompression", "no");
    await client.call("DEBUG", "POPULATE", `${megabytes * 10}`, "bulk", "100000");
  });
}

/** Makes one string of random bytes. */
export async function fillOne(endpoint: string, key: string, megabytes: number): Promise<void> {
  const block = Buffer.alloc(1_000_000);
  await using(endpoint, async (client) => {
    await client.config("SET", "rdbcompression", "no");
    for (let at = 0; at < megabytes; at++) {
      for (let i = 0; i < block.length; i += 4)
        block.writeUInt32LE(Math.imul(at * 250_000 + i, 2_654_435_761) >>> 0, i);
      await client.setrange(key, at * block.length, block);
    }
  });
}

/** What a server holds, in short: the digest over every key and value of all databases, and the keys of the first. */
export async function holdings(endpoint: string): Promise<{ digest: string; keys: number }> {
  return await using(endpoint, async (client) => ({
    digest: String(await client.call("DEBUG", "DIGEST")),
    keys: await client.dbsize(),
  }));
}

/** One command. */
export async function command(endpoint: string, ...words: [string, ...string[]]): Promise<unknown> {
  const [name, ...rest] = words;
  return await using(endpoint, (client) => client.call(name, ...rest));
}

async function using<T>(endpoint: string, work: (client: Valkey) => Promise<T>): Promise<T> {
  const [host = "", port] = endpoint.split(":");
  const client = new Valkey({ host, port: Number(port), retryStrategy: () => null });
  // What goes wrong is thrown by the command that meets it.
  client.on("error", () => undefined);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}
