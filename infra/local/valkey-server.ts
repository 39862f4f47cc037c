import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onFreePort } from "./port.ts";
import { startProcess } from "./process.ts";
import { findValkey, type ValkeyPrograms, type ValkeyRelease } from "./valkey-programs.ts";

export { findValkey, type ValkeyPrograms, type ValkeyRelease } from "./valkey-programs.ts";

export interface ValkeyOptions {
  /** Which release; any where absent. */
  version?: ValkeyRelease;
  /** Preferred port; another one is taken where it is in use. Any where absent. */
  port?: number;
  /** Its data directory; a temporary one, removed at the end, where absent. */
  directory?: string;
  /** Becomes `requirepass`. */
  password?: string;
  /** Further directives, such as `["--save", "60 1"]`; they win over ours. */
  args?: readonly string[];
  /** A program, with its arguments, that becomes the server: `["setpriv", "--reuid=65534"]`. */
  by?: readonly string[];
  logFile?: string;
  /** Start it again whenever it ends without being asked to, with what it has saved. */
  restart?: boolean;
}

export interface ValkeyServer {
  /** "127.0.0.1:PORT" */
  endpoint: string;
  port: number;
  /** `undefined` once it has ended. */
  readonly pid: number | undefined;
  name: ValkeyPrograms["name"];
  version: string;
  /** Its data directory. */
  directory: string;
  /** SIGTERM, which lets it save where it is asked to; then SIGKILL. */
  stop(): Promise<void>;
  /** SIGKILL: a crash. */
  kill(): Promise<void>;
}

/** Starts a real server on 127.0.0.1 that saves nothing by itself, allows DEBUG and begins a snapshot at once; answers once it answers PING. */
export async function startValkey(options: ValkeyOptions = {}): Promise<ValkeyServer> {
  const programs = await findValkey(options.version === undefined ? {} : { version: options.version });
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "valkeep-valkey-")));
  const clean = async () => {
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  };
  try {
    return await onFreePort(options.port, (port) => startOn(port, programs, directory, options, clean));
  } catch (error) {
    await clean();
    throw error;
  }
}

async function startOn(
  port: number,
  programs: ValkeyPrograms,
  directory: string,
  { password, args = [], by = [], logFile, restart = false }: ValkeyOptions,
  clean: () => Promise<void>,
): Promise<ValkeyServer> {
  const { name, version, server, env } = programs;
  const defaults = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory];
  defaults.push("--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--daemonize", "no");
  // Valkey waits 5 s for more replicas before a diskless snapshot; here nobody else comes.
  defaults.push("--repl-diskless-sync-delay", "0");
  if (password !== undefined) defaults.push("--requirepass", password);
  const running = await startProcess({
    name: `${name} ${version}`,
    command: [...by, ...server, ...defaults, ...args],
    environment: { ...process.env, ...env },
    directory,
    restart,
    // It may have to save what it holds.
    stopTimeoutMs: 8_000,
    ready: () => answersPing(port),
    ...(logFile === undefined ? {} : { logFile }),
  });
  return {
    endpoint: `127.0.0.1:${port}`,
    port,
    get pid() {
      return running.pid;
    },
    name,
    version,
    directory,
    async stop() {
      await running.stop();
      await clean();
    },
    async kill() {
      await running.stop("SIGKILL");
      await clean();
    },
  };
}

/** A server that asks for a password has answered too; one that is loading has not. */
function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" }, () => socket.write("PING\r\n"));
    socket.once("data", (data) => {
      resolve(/^(\+PONG|-NOAUTH)/.test(data.toString("latin1")));
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
  });
}
