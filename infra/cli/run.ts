import { asStatusError, StatusError } from "../../shared/error.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { checkTable } from "./check-table.ts";
import { commands } from "./commands.ts";
import { exitCodeOf, Interrupted, OperationFailed } from "./exit-code.ts";
import { findCommand } from "./find-command.ts";
import { helpOf, overview, usageLine } from "./help.ts";
import { parse } from "./parse.ts";
import { plain } from "./plain.ts";
import type { Connection, Session } from "./session.ts";

/** What surrounds one run of the command. */
export interface Surroundings {
  /** To work on these instead of a stack that has to be found. */
  ports?: Ports;
  stdin: AsyncIterable<Uint8Array>;
  stdout: { write(text: string): unknown };
  stderr: { write(text: string): unknown };
  /** Whether somebody watches standard error. */
  isTerminal: boolean;
  /** How wide the terminal is that shows standard output; absent where it goes to a file or a pipe. */
  columns?: number;
  environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C. */
  signal?: AbortSignal;
  /** Rejects with what fails beside the command and leaves it without an end. */
  stray?: Promise<never>;
}

/** Runs one command line, without the program's name, and answers its exit code. Never throws. */
export async function run(argv: string[], around: Surroundings): Promise<number> {
  const isJson = argv.includes("--json");
  const found = findCommand(argv);
  if (found === undefined) return showOverview(argv, isJson, around);
  const { name, entry, args } = found;
  const command = await entry.load();
  if (asksForHelp(args)) {
    around.stdout.write(`${helpOf(name, entry.summary, command)}\n`);
    return 0;
  }
  try {
    const running = command.run(parse(command, args), sessionOf(isJson, around));
    return (await Promise.race(around.stray === undefined ? [running] : [running, around.stray])) ?? 0;
  } catch (error) {
    const shown = around.signal?.aborted && !(error instanceof Interrupted) ? new Interrupted("interrupted") : error;
    return showError(asStatusError(shown), isJson, around, usageLine(name, command));
  }
}

/** `--help` before a `--`, whatever else is on the line. */
function asksForHelp(args: string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end === -1 ? args.length : end).some((word) => word === "--help" || word === "-h");
}

function showOverview(argv: string[], isJson: boolean, around: Surroundings): number {
  const [noun] = argv.filter((word) => !word.startsWith("-"));
  const isNoun = Object.keys(commands).some((name) => name.split(" ")[0] === noun);
  const text = overview(commands, isNoun ? noun : undefined);
  if (asksForHelp(argv) && (noun === undefined || isNoun)) {
    around.stdout.write(`${text}\n`);
    return 0;
  }
  const unknown = argv.slice(0, isNoun ? 2 : 1).join(" ");
  const message =
    argv.length > (isNoun ? 1 : 0) ? `there is no "valkeep ${unknown.slice(0, 80)}"` : "a verb is missing";
  // Beyond a misspelt noun stand more verbs than a screen has lines: what is wrong would scroll away.
  const isShort = isNoun || argv.length === 0;
  const usage = isShort ? text : "usage: valkeep NOUN VERB [flags]; valkeep --help names them";
  return showError(new StatusError("INVALID_ARGUMENT", message), isJson, around, usage);
}

function showError(
  error: StatusError,
  isJson: boolean,
  { stdout, stderr, columns }: Surroundings,
  usage?: string,
): number {
  const { code, message, offset } = error;
  const { operation, checks } = error instanceof OperationFailed ? error : {};
  const exitCode = exitCodeOf(error);
  if (isJson) stdout.write(`${JSON.stringify({ error: { code, message, offset, operation, checks } })}\n`);
  else if (error instanceof Interrupted) stderr.write(`${plain(message)}\n`);
  else {
    if (checks !== undefined) stdout.write(`${checkTable(checks, columns)}\n`);
    stderr.write(`${operation === undefined ? "" : `${operation}: `}${plain(message)} (${code})\n`);
  }
  if (exitCode === 2 && usage !== undefined) stderr.write(`${usage}\n`);
  return exitCode;
}

function sessionOf(isJson: boolean, around: Surroundings): Session {
  const { stdin, stdout, stderr, isTerminal, environment, signal = new AbortController().signal } = around;
  let connection: Promise<Connection> | undefined;
  const say = (line: string): void => void stderr.write(`${plain(line)}\n`);
  async function find(): Promise<Connection> {
    if (around.ports !== undefined)
      return {
        ports: around.ports,
        location: environment.VALKEEP_LOCATION ?? "local",
        deniedToRestore: async () => undefined,
        lookAtVolume: async () => undefined,
      };
    const { connect } = await import("./connection.ts");
    return await connect(environment, say);
  }
  return {
    connect() {
      connection ??= find();
      return connection;
    },
    ...{ environment, stdin, signal, isJson, isTerminal, say },
    ...(around.columns !== undefined && { columns: around.columns }),
    print: (value, text) => void stdout.write(isJson ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`),
    draw: (text) => void stderr.write(text),
  };
}
