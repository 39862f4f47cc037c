import { Valkey } from "iovalkey";

/** Rounds, each of which makes 20,000 keys: strings, hashes, lists, sets, sorted sets and streams, a third with an expiry. */
const rounds = 15;

/** Made by the server itself: a client that sends each key would be the slowest part of the demo. */
const script = `
local round = tonumber(ARGV[1])
for i = 1, 20000 do
  local n = round * 20000 + i
  local kind = i % 20
  local key
  if kind < 12 then
    key = "string:" .. n
    redis.call("SET", key, string.rep("value" .. n, 1 + n % 7))
  elseif kind < 14 then
    key = "hash:" .. n
    redis.call("HSET", key, "name", "n" .. n, "city", "Tokyo", "count", n)
  elseif kind < 16 then
    key = "list:" .. n
    redis.call("RPUSH", key, n, n + 1, "three")
  elseif kind < 18 then
    key = "set:" .. n
    redis.call("SADD", key, n, n + 1, n + 2)
  elseif kind < 19 then
    key = "zset:" .. n
    redis.call("ZADD", key, n, "member" .. n, n + 0.5, "other" .. n)
  else
    key = "stream:" .. n
    redis.call("XADD", key, n .. "-1", "field", "value" .. n)
  end
  if i % 3 == 0 then redis.call("PEXPIREAT", key, 4102444800000 + n) end
end
return redis.status_reply("OK")`;

const library = `#!lua name=demo
redis.register_function('greet', function(keys, args) return 'hello ' .. args[1] end)`;

/** Fills a server with a few hundred thousand keys of all types in two databases, and a function library. */
export async function fill(endpoint: string): Promise<void> {
  await using(endpoint, async (client) => {
    for (let round = 0; round < rounds; round++) {
      await client.select(round === rounds - 1 ? 1 : 0);
      await client.eval(script, 0, round);
    }
    await client.call("FUNCTION", "LOAD", library);
  });
}

/** What a server holds, in a form that can be compared: its digest over every key and value, and its counts. */
export async function holdings(endpoint: string): Promise<{ digest: string; keys: number; functions: number }> {
  return await using(endpoint, async (client) => {
    const digest = String(await client.call("DEBUG", "DIGEST"));
    let keys = 0;
    for (const database of [0, 1]) {
      await client.select(database);
      keys += await client.dbsize();
    }
    return { digest, keys, functions: ((await client.call("FUNCTION", "LIST")) as unknown[]).length };
  });
}

async function using<T>(endpoint: string, work: (client: Valkey) => Promise<T>): Promise<T> {
  const [host, port] = endpoint.split(":");
  const client = new Valkey({ host: host ?? "", port: Number(port), lazyConnect: true });
  try {
    await client.connect();
    return await work(client);
  } finally {
    client.disconnect();
  }
}
