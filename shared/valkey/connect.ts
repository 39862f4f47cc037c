import { AbstractConnector, Valkey } from "iovalkey";
import { type Address, endpointAt } from "./address.ts";
import { brokenLink, isGreeting, nobodyAnswers, notValkey, replyFailure } from "./failure.ts";
import { openSocket, whyHungUp } from "./socket.ts";

/** How long a server may take to answer a command that is not bulk. */
const COMMAND_TIMEOUT_MS = 10_000;

/** Asks one command. Error replies and broken connections are thrown as StatusErrors. */
export type Ask = (command: string, ...args: string[]) => Promise<unknown>;

/**
 * A client for the length of one call: one attempt to connect, no reconnecting, nothing left behind. For everything
 * that is not bulk. Sends nothing by itself, so that no CLIENT SETINFO can be refused. `peer` is the network address that its host
 * has led to.
 */
export async function withClient<T>(
  address: Address,
  signal: AbortSignal,
  use: (ask: Ask, peer: string) => Promise<T>,
): Promise<T> {
  const { socket, failure } = await openSocket(address, signal);
  class Opened extends AbstractConnector {
    constructor() {
      super(0);
    }
    override async connect() {
      return socket;
    }
    override disconnect() {
      socket.destroy();
    }
  }
  const client = new Valkey({
    Connector: Opened,
    // Our connector has made the handshake by now: iovalkey must not wait for one.
    lazyConnect: true,
    enableReadyCheck: false,
    enableOfflineQueue: true,
    retryStrategy: () => null,
    commandTimeout: COMMAND_TIMEOUT_MS,
  });
  let lost: Error | undefined;
  client.on("error", (error: Error) => {
    lost ??= error;
  });
  const end = () => client.disconnect();
  const broken = (error: unknown) => brokenLink(address, failure() ?? lost ?? new Error(asError(error).message));
  const ask: Ask = async (command, ...args) => {
    try {
      return await client.call(command, ...args);
    } catch (error) {
      signal.throwIfAborted();
      const text = asError(error).message;
      if (isReply(error)) throw replyFailure(address, command, text);
      throw broken(error);
    }
  };
  signal.addEventListener("abort", end, { once: true });
  try {
    signal.throwIfAborted();
    await greet(client, address, signal, () => failure() ?? lost);
    if (address.password !== undefined) await ask("AUTH", address.user, address.password);
    return await use(ask, endpointAt(socket.remoteAddress ?? "", address.port));
  } finally {
    signal.removeEventListener("abort", end);
    client.disconnect();
    socket.destroy();
  }
}

/** The first PING tells a Valkey from anything else, before a password is sent. */
async function greet(
  client: Valkey,
  address: Address,
  signal: AbortSignal,
  lost: () => Error | undefined,
): Promise<void> {
  try {
    await client.call("PING");
  } catch (error) {
    signal.throwIfAborted();
    const text = asError(error).message;
    if (isReply(error)) {
      if (isGreeting(text, address)) return;
      throw replyFailure(address, "PING", text);
    }
    if (/Protocol error/.test(text)) throw notValkey(address);
    if (/timed out/.test(text)) throw nobodyAnswers(address, "it takes the connection and stays silent");
    throw await whyHungUp(address, signal, (lost() ?? asError(error)).message);
  }
}

/** Of an error reply, iovalkey keeps the command with its arguments, a password among them: never a `cause`. */
function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
