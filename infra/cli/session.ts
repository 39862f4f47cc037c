import type { Instance } from "../../shared/backup/backup.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import type { Denied } from "./instances/permissions.ts";
import type { VolumeFound } from "./instances/volume.ts";

/** What a command works on: the stack's ports, and the region of what is registered there. */
export interface Connection {
  ports: Ports;
  location: string;
  /**
   * Of the commands that a restore sends, those that the ACL denies the instance's user; `undefined` where the server does not
   * let us ask.
   */
  deniedToRestore(instance: Instance, signal: AbortSignal): Promise<Denied | undefined>;
  /** What snapshots by way of the volume meet; saves nothing. */
  lookAtVolume(instance: Instance, signal: AbortSignal): Promise<VolumeFound | undefined>;
}

/** One run of the command, as its verbs see it. */
export interface Session {
  /** Finds the stack when it is first asked for; the same one afterwards. */
  connect(): Promise<Connection>;
  environment: Readonly<Record<string, string | undefined>>;
  stdin: AsyncIterable<Uint8Array>;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
  isJson: boolean;
  /** Whether somebody watches standard error. */
  isTerminal: boolean;
  /** How wide the terminal is that shows the result; absent where it goes to a file or a pipe. */
  columns?: number;
  /** The result, on standard output: the value with `--json`, else the text. */
  print(value: unknown, text: string): void;
  /** A line for people, on standard error. */
  say(line: string): void;
  /** The same without an end of line. */
  draw(text: string): void;
}
