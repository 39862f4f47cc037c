import { command, using } from "./client.ts";

/** Keys that one call of the script makes, and what they come to in the RDB file, measured in Valkey 8.0.1. */
const keysOfRound = 20_000;
const bytesOfRound = 4_530_000;

/**
 * Made by the server itself: a client that sends each key would take minutes. Ordinary data: two fifths strings, the rest
 * hashes, lists, sets, sorted sets and streams, in their small encodings and, half of the hashes and sorted sets and a few
 * with thousands of elements, in their large ones; some text compresses, some does not. 30 % expire.
 */
const script = `
local round = tonumber(ARGV[1])
for i = 0, ${keysOfRound - 1} do
  local n = round * ${keysOfRound} + i
  local kind = i % 20
  local hex = redis.sha1hex(n)
  local key
  if kind < 2 then
    key = "counter:" .. n
    redis.call("SET", key, n * 7919)
  elseif kind < 5 then
    key = "session:" .. hex
    redis.call("SET", key, hex .. redis.sha1hex(hex) .. n .. string.reverse(hex) .. redis.sha1hex("s" .. n) .. redis.sha1hex("t" .. n) .. n)
  elseif kind < 8 then
    key = "document:" .. n
    redis.call("SET", key, '{"id":' .. n .. ',"name":"customer ' .. n .. '","token":"' .. hex .. redis.sha1hex(hex) .. redis.sha1hex("d" .. n) .. redis.sha1hex("e" .. n) .. '","note":"' .. string.rep("very ", n % 60) .. 'long","mark":"' .. redis.sha1hex("f" .. n) .. redis.sha1hex("g" .. n) .. redis.sha1hex("h" .. n) .. '"}')
  elseif kind < 12 then
    key = "user:" .. n
    if kind > 9 then redis.call("HSET", key, "about", string.rep("about " .. n .. ", ", 8)) end
    redis.call("HSET", key, "name", "user " .. n, "city", "Tokyo", "visits", n % 1000, "token", hex, "key", redis.sha1hex("k" .. n), "mail", "user" .. n .. "@example.com", "hash", redis.sha1hex("p" .. n), "seen", 1700000000 + n)
  elseif kind < 14 then
    key = "queue:" .. n
    redis.call("RPUSH", key, hex, n, "waiting", "job " .. n + 1, string.sub(hex, 1, 20), redis.sha1hex("q" .. n), redis.sha1hex("r" .. n))
  elseif kind < 15 then
    key = "tags:" .. n
    redis.call("SADD", key, n, n + 3, n + 70000)
  elseif kind < 17 then
    key = "friends:" .. n
    redis.call("SADD", key, "user " .. n + 1, "user " .. n * 3, hex, redis.sha1hex("u" .. n), redis.sha1hex("v" .. n))
  elseif kind < 19 then
    key = "ranking:" .. n
    if kind == 18 then redis.call("ZADD", key, n, "a player whose name is far longer than the limit of a listpack, " .. n) end
    redis.call("ZADD", key, n, "player " .. n, n / 7, hex, 0.5, "guest")
  else
    key = "events:" .. n
    redis.call("XADD", key, n + 1 .. "-1", "kind", "click", "where", hex)
    redis.call("XADD", key, n + 2 .. "-1", "kind", "leave", "where", n)
    if n % 100 == 19 then redis.call("XGROUP", "CREATE", key, "readers", "0") end
  end
  if (n * 7) % 10 < 3 then redis.call("PEXPIREAT", key, 4102444800000 + n) end
end
for part = 1, 2000 do
  redis.call("HSET", "large-hash:" .. round, "field " .. part, redis.sha1hex(part))
  redis.call("ZADD", "large-zset:" .. round, part / 3, "member " .. part)
  redis.call("RPUSH", "large-list:" .. round, redis.sha1hex(part), part)
end
return redis.status_reply("OK")`;

const library = `#!lua name=bench
redis.register_function('greet', function(keys, args) return 'hello ' .. args[1] end)`;

/** Fills an empty server with about so many megabytes of RDB: the same keys each time, a tenth of them in the second database, if there is to be one. */
export async function fillMixed(endpoint: string, sizeMb: number, databases: 1 | 2 = 2): Promise<void> {
  const rounds = Math.max(1, Math.round((sizeMb * 1e6) / bytesOfRound));
  await using(endpoint, async (client) => {
    for (let round = 0; round < rounds; round++) {
      await client.select(round % 10 === 9 ? databases - 1 : 0);
      await client.eval(script, 0, round);
    }
    await client.call("FUNCTION", "LOAD", library);
  });
}

/** One string of so many megabytes. The server must not compress, for it is all zeros. */
export async function fillOne(endpoint: string, sizeMb: number): Promise<void> {
  await command(endpoint, "SETRANGE", "one", `${sizeMb * 1e6 - 1}`, "x");
}
