import { once } from "node:events";
import { flushCompileCache } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { getTestServer } from "@google-cloud/functions-framework/testing";

/**
 * The function host, a process: loads the functions, which register themselves with functions-framework, and gives each
 * the port asked for, on 127.0.0.1 only, as functions-framework's own command cannot:
 * `functions.ts --port backup=8181 --port snapshot=8182 … [--source FILE]`.
 */
const { values } = parseArgs({
  options: {
    port: { type: "string", multiple: true, default: [] },
    source: { type: "string", default: join(import.meta.dirname, "../../functions/index.ts") },
  },
});

await import(pathToFileURL(values.source).href);

for (const pair of values.port) {
  const [name = "", port] = pair.split("=");
  const server = getTestServer(name).listen(Number(port), "127.0.0.1");
  await once(server, "listening");
}
// What was compiled is there for the next start, which then does without TypeScript's compiler and its 22 MB.
flushCompileCache();
process.once("SIGTERM", () => process.exit(0));
console.log(`functions ready ${values.port.join(" ")}`);
