import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import type { Address } from "./address.ts";
import { connectFailure, nobodyAnswers, speaksNoTls, speaksTls } from "./failure.ts";

/** How long TCP and TLS together may take to connect. */
const CONNECT_TIMEOUT_MS = 5_000;

/** How long a probe may take that only finds better words for a failure. */
const PROBE_TIMEOUT_MS = 1_500;

/** A handshake that takes longer than this is suspected to be none. */
const SUSPICION_MS = 1_000;

export interface OpenSocket {
  socket: Socket;
  /** The first error of the socket, if it had one; no error of it is ever thrown at the process. */
  failure(): Error | undefined;
}

/**
 * One attempt to connect. UNAVAILABLE: nobody is there; FAILED_PRECONDITION: TLS where none is, or a certificate that is
 * not accepted. `onread` is for plain connections; TLS ignores its pauses, so
 * there the socket is left to be read as any Readable.
 */
export async function openSocket(address: Address, signal: AbortSignal, onread?: OnReadOpts): Promise<OpenSocket> {
  signal.throwIfAborted();
  const socket = start(address, onread);
  socket.setNoDelay(true);
  let first: Error | undefined;
  socket.on("error", (error) => {
    first ??= error;
  });
  const failure = await connected(socket, address, signal);
  if (failure === undefined) return { socket, failure: () => first };
  socket.destroy();
  signal.throwIfAborted();
  if (failure === PLAIN) throw speaksNoTls(address);
  if (failure === LATE) throw nobodyAnswers(address, `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`);
  if (/^ERR_SSL_(WRONG_VERSION|PACKET_LENGTH)/.test(failure.code ?? "")) throw speaksNoTls(address);
  throw connectFailure(address, failure);
}

/** Why a plain connection was closed before the first answer: the server may want TLS. Answers the error to throw. */
export async function whyHungUp(address: Address, signal: AbortSignal, why: string): Promise<Error> {
  if (address.tls === undefined && (await answersTls(address, signal))) return speaksTls(address);
  return nobodyAnswers(address, why);
}

function start({ host, port, tls }: Address, onread: OnReadOpts | undefined): Socket {
  if (tls === undefined) return connectPlain({ host, port, ...(onread ? { onread } : {}) });
  return connectTls({
    host,
    port,
    servername: isIP(host) === 0 ? host : "",
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
  });
}

const LATE: NodeJS.ErrnoException = new Error("too late");
const PLAIN: NodeJS.ErrnoException = new Error("no TLS");

/** Resolves with what went wrong; leaves no timer and no probe. */
async function connected(socket: Socket, address: Address, signal: AbortSignal) {
  const settled = new AbortController();
  const unmasked =
    address.tls === undefined ? undefined : unmask(socket, address, AbortSignal.any([signal, settled.signal]));
  const failure = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    const options = { signal: settled.signal };
    const timer = setTimeout(() => resolve(LATE), CONNECT_TIMEOUT_MS);
    settled.signal.addEventListener("abort", () => clearTimeout(timer));
    signal.addEventListener("abort", () => resolve(new Error("aborted")), options);
    socket.once(address.tls === undefined ? "connect" : "secureConnect", () => resolve(undefined));
    socket.once("error", resolve).once("close", () => resolve(new Error("it hung up")));
  });
  settled.abort();
  await unmasked;
  return failure;
}

/** A Valkey without TLS keeps still and waits for the end of what it takes for a command. Ask it plainly then. */
async function unmask(socket: Socket, address: Address, signal: AbortSignal): Promise<void> {
  const isDue = await sleep(SUSPICION_MS, true, { signal }).catch(() => false);
  if (isDue && (await answersPlainly(address, signal))) socket.destroy(PLAIN);
}

/** A Valkey without TLS answers a plain PING, if only with an error. Sends no secret. */
function answersPlainly({ host, port }: Address, signal: AbortSignal): Promise<boolean> {
  const socket = connectPlain({ host, port }, () => socket.write("PING\r\n"));
  const answer = new Promise<boolean>((resolve) => {
    socket.once("data", (data) => resolve(data[0] === 0x2b || data[0] === 0x2d));
    socket.once("close", () => resolve(false));
  });
  return probed(socket, answer, signal);
}

/** Whether a TLS handshake gets as far as a certificate, whoever's it is. Sends no secret. */
function answersTls({ host, port }: Address, signal: AbortSignal): Promise<boolean> {
  const socket = connectTls({ host, port, rejectUnauthorized: false });
  const answer = new Promise<boolean>((resolve) => {
    socket.once("secureConnect", () => resolve(true));
    socket.once("close", () => resolve(false));
  });
  return probed(socket, answer, signal);
}

/** A probe that fails is answered by its `close`; it ends with the signal and in time. */
async function probed(socket: Socket, answer: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  const end = () => socket.destroy();
  const timer = setTimeout(end, PROBE_TIMEOUT_MS);
  signal.addEventListener("abort", end, { once: true });
  socket.on("error", end);
  try {
    return !signal.aborted && (await answer);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    socket.destroy();
  }
}
