import type { Session } from "./session.ts";

/** `read` checks a value and answers it in its one spelling; it throws INVALID_ARGUMENT. */
export type Read = (text: string) => string;

export interface Positional {
  help: string;
  isOptional?: boolean;
  /** All that it can be; for the shells' completion. */
  values?: readonly string[];
  read?: Read;
}

export interface Flag {
  type: "string" | "boolean";
  help: string;
  /** Stands for the value in the help, such as `HOST:PORT`. */
  value?: string;
  isRequired?: boolean;
  /** All that it can be; for the shells' completion. */
  values?: readonly string[];
  read?: Read;
}

type Positionals = Record<string, Positional>;
type Flags = Record<string, Flag>;

type PositionalValues<P extends Positionals> = {
  [K in keyof P]: P[K] extends { isOptional: true } ? string | undefined : string;
};
type FlagValues<F extends Flags> = {
  [K in keyof F]: F[K] extends { isRequired: true }
    ? string
    : (F[K] extends { type: "boolean" } ? boolean : string) | undefined;
};

export interface Input<P extends Positionals = Positionals, F extends Flags = Flags> {
  positionals: PositionalValues<P>;
  flags: FlagValues<F>;
}

/** One verb: what it takes, in a table, and what it does. */
export interface Definition<P extends Positionals = Positionals, F extends Flags = Flags> {
  /** By the name that the usage line shows, in their order. */
  positionals: P;
  flags: F;
  /** A whole command line. */
  example: string;
  /** Answers the exit code, where it is not 0. */
  run(input: Input<P, F>, session: Session): Promise<number | undefined>;
}

/** A verb as the command holds it, the types of its table forgotten. */
export type Command = Definition;

/** Checks a verb's types against its own table where it is written. */
export const command = <const P extends Positionals, const F extends Flags>(definition: Definition<P, F>): Command =>
  definition as unknown as Command;

/** Flags of every verb. */
export const commonFlags = {
  json: { type: "boolean", help: "print the result, or the error, as JSON on standard output" },
  help: { type: "boolean", help: "show this" },
} as const satisfies Flags;

/** Flags of every verb that begins an Operation. */
export const asyncFlag = {
  async: { type: "boolean", help: "print the operation's name and do not wait for its end" },
} as const satisfies Flags;

export const requestIdFlag = {
  "request-id": { type: "string", value: "ID", help: "asked twice with the same id, it is done once" },
} as const satisfies Flags;
