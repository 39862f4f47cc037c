import { parseArgs } from "node:util";
import { StatusError } from "../../shared/error.ts";
import { type Command, commonFlags, type Flag, type Input, type Read } from "./command.ts";

/** The values of one command line. INVALID_ARGUMENT says in one sentence what is wrong with it. */
export function parse(command: Command, args: string[]): Input {
  const known: Record<string, Flag> = { ...commonFlags, ...command.flags };
  const { values, positionals } = parsed(known, args);
  const flags: Record<string, string | boolean> = {};
  for (const [name, value] of Object.entries(values)) {
    // Node takes `--no-x` for the negation of x even where it is a flag of its own.
    const isOwnFlag = value === false && Object.hasOwn(known, `no-${name}`);
    const read = known[name]?.read;
    if (isOwnFlag) flags[`no-${name}`] = true;
    else flags[name] = typeof value === "string" && read !== undefined ? readAs(`--${name}`, read, value) : value;
  }
  for (const [name, { isRequired }] of Object.entries(known))
    if (isRequired && flags[name] === undefined) throw invalid(`--${name} is missing`);
  return { positionals: named(command, positionals), flags } as Input;
}

function parsed(known: Record<string, Flag>, args: string[]) {
  const options = Object.fromEntries(Object.entries(known).map(([name, { type }]) => [name, { type }]));
  try {
    const found = parseArgs({ args, options, allowPositionals: true, allowNegative: true, tokens: true });
    const given = found.tokens.flatMap((token) =>
      token.kind === "option" && token.value !== undefined ? token.name : [],
    );
    // The last one would win without a word, and of two files only one be restored.
    const twice = given.find((name, i) => given.indexOf(name) !== i);
    if (twice !== undefined) throw invalid(`--${twice} is given twice`);
    return { values: found.values as Record<string, string | boolean>, positionals: found.positionals };
  } catch (error) {
    throw error instanceof StatusError ? error : invalid(sentenceOf(error));
  }
}

/** The first sentence of Node's message: the rest tells how to hide a flag from it. */
function sentenceOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [, flag] = /^Option '([^' ]+).*' argument is ambiguous/.exec(message) ?? [];
  if (flag !== undefined) return `${flag} has no value; one that begins with - is given as ${flag}=-VALUE`;
  return message.split(/\. To |\.\n|\n/)[0]?.replace(/^Unknown option/, "unknown flag") ?? message;
}

function named(command: Command, given: string[]): Record<string, string> {
  const values: Record<string, string> = {};
  const wanted = Object.entries(command.positionals);
  for (const [i, [name, { isOptional, read }]] of wanted.entries()) {
    const value = given[i];
    if (value !== undefined) values[name] = read === undefined ? value : readAs(name, read, value);
    else if (!isOptional) throw invalid(`${name} is missing`);
  }
  const extra = given[wanted.length];
  if (extra !== undefined) throw invalid(`unexpected argument ${JSON.stringify(extra.slice(0, 80))}`);
  return values;
}

function readAs(name: string, read: Read, text: string): string {
  try {
    return read(text);
  } catch (error) {
    if (error instanceof StatusError) throw new StatusError(error.code, `${name}: ${error.message}`, { cause: error });
    throw error;
  }
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
