import { createReadStream } from "node:fs";
import { check } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import { peakOf } from "../bench/peak.ts";
import { calm, firstAttempt, instanceAt, valkey } from "./fixture.ts";

/** A process of its own, so that its memory is its own: `load-file.ts ENDPOINT FILE` loads a file into a cluster. */
const [endpoint = "", path = ""] = process.argv.slice(2);
const read = ({ start, end }: { start: number; end?: number }) =>
  createReadStream(path, { start, highWaterMark: 1 << 20, ...(end !== undefined && { end: end - 1 }) });
const facts = factsOf(await check(read({ start: 0 })));
const begin = performance.now();
const { databases } = await valkey.load(
  instanceAt(endpoint, { mode: "CLUSTER" }),
  { facts, read },
  firstAttempt,
  calm(),
);
const seconds = (performance.now() - begin) / 1000;
console.log(JSON.stringify({ keys: databases[0]?.keys, seconds, peakMb: (peakOf("self") ?? 0) / 1e6 }));
