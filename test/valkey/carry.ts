import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { check, checked } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import { calm, firstAttempt, instanceAt, valkey } from "./fixture.ts";

/** A process of its own, so that its memory is its own: carries a server's data to another one by way of a file. */
const [source = "", target = "", path = "", mode] = process.argv.slice(2);
const before = process.resourceUsage().maxRSS;

const file = await open(path, "w");
for await (const chunk of checked(valkey.snapshot(instanceAt(source), { shard: 0 }, calm()))) await file.write(chunk);
await file.close();

const read = ({ start, end }: { start: number; end?: number }) =>
  createReadStream(path, end === undefined ? { start } : { start, end: end - 1 });
const facts = factsOf(await check(read({ start: 0 })));
const result = await valkey.load(
  instanceAt(target, mode === "CLUSTER" ? { mode } : {}),
  { facts, read },
  firstAttempt,
  calm(),
);

const growthMb = (process.resourceUsage().maxRSS - before) / 1024;
console.log(JSON.stringify({ keys: result.databases[0]?.keys, growthMb }));
