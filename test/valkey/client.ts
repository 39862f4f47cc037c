import { Valkey } from "iovalkey";

/** Sends commands one after the other over a connection of their own; answers the last reply, a Buffer where it is a bulk. */
export async function send(endpoint: string, ...commands: (string | Buffer | number)[][]): Promise<unknown> {
  const [host = "", port] = endpoint.split(":");
  const client = new Valkey({ host, port: Number(port), retryStrategy: () => null, enableReadyCheck: false });
  // What goes wrong is thrown by the command that meets it.
  client.on("error", () => undefined);
  try {
    let answer: unknown;
    for (const [name = "", ...words] of commands) answer = await client.callBuffer(`${name}`, ...words);
    return answer;
  } finally {
    client.disconnect();
  }
}
