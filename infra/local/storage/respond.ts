import type { ServerResponse } from "node:http";
import type { Reply } from "./call.ts";

/** Sends an answer. It ends without an error when the client goes away in the middle. */
export async function respond(response: ServerResponse, { status, headers = {}, json, body }: Reply): Promise<void> {
  if (body !== undefined) {
    response.writeHead(status, headers);
    if (await sendAll(response, body)) response.end();
    return;
  }
  const text = json === undefined ? "" : JSON.stringify(json);
  const type = json === undefined ? {} : { "content-type": "application/json; charset=UTF-8" };
  const length = status === 204 || status === 304 ? {} : { "content-length": Buffer.byteLength(text) };
  response.writeHead(status, { ...type, ...length, ...headers });
  response.end(text);
}

/** One chunk is on its way while the next is read. */
async function sendAll(response: ServerResponse, body: AsyncIterable<Buffer>): Promise<boolean> {
  let sent: Promise<boolean> = Promise.resolve(true);
  for await (const chunk of body) {
    if (!(await sent)) return false;
    sent = write(response, chunk);
  }
  return sent;
}

/** Sends bytes and waits until their buffer is free again; false if the connection is gone. */
function write(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = () => resolve(false);
    if (response.destroyed) return gone();
    if (bytes.length === 0) return resolve(true);
    response.once("close", gone);
    response.write(bytes, (error) => {
      response.off("close", gone);
      resolve(!error);
    });
  });
}
