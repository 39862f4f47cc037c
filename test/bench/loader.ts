import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { createValkey } from "../../shared/valkey/index.ts";
import { type LoadRequest, loadFile } from "./load.ts";
import { peakOf } from "./peak.ts";

/**
 * A process that is up and waits, as a function's instance does. Prints its port; each POST of a `LoadRequest` is one load, and
 * the answer the most memory that the process has ever had.
 */
const valkey = createValkey({ resolveSecret: () => Promise.reject(new Error("there is no secret here")) });

const server = createServer(async (request, response) => {
  try {
    await loadFile(valkey, JSON.parse(await text(request)) as LoadRequest);
    response.end(JSON.stringify({ peakBytes: peakOf("self") ?? 0 }));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : "");
});
