import { readFile, realpath } from "node:fs/promises";
import { isAbsolute, resolve, sep } from "node:path";
import { StatusError } from "./error.ts";

/** Where secrets may come from. */
export interface SecretOptions {
  /** Whether this is the local stack: only there do references to the environment and to files mean anything. */
  isLocal: boolean;
  /** The only directory that secrets are read from. */
  directory: string;
  environment: Record<string, string | undefined>;
}

/** Resolves a reference to a secret. Neither the secret nor any part of it is ever in an error. */
export type Secrets = (reference: string) => Promise<string>;

/**
 * `env:NAME` is a variable of the environment, `file:PATH` a file under the secrets directory, its last line break not
 * counted. INVALID_ARGUMENT: another kind of reference, or a path that leads out of the directory, by symbolic links
 * too; FAILED_PRECONDITION: not the local stack; NOT_FOUND: there is none.
 */
export function createSecrets({ isLocal, directory, environment }: SecretOptions): Secrets {
  return async (reference) => {
    const shown = JSON.stringify(reference.slice(0, 200));
    const [, kind, name = ""] = /^(env|file):(.+)$/s.exec(reference) ?? [];
    if (kind === undefined)
      throw new StatusError("INVALID_ARGUMENT", "malformed reference to a secret: expected env:NAME or file:PATH");
    if (!isLocal)
      throw new StatusError(
        "FAILED_PRECONDITION",
        `secret ${shown}: env: and file: are for the local stack only: this deployment cannot read it`,
      );
    return kind === "env" ? fromEnvironment(environment, name, shown) : fromFile(directory, name, shown);
  };
}

function fromEnvironment(environment: SecretOptions["environment"], name: string, shown: string): string {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value === undefined)
    throw new StatusError("NOT_FOUND", `secret ${shown}: the function's environment has no such variable: set it`);
  return value;
}

async function fromFile(directory: string, path: string, shown: string): Promise<string> {
  if (isAbsolute(path) || path.includes("\0") || path.split(/[/\\]/).includes(".."))
    throw new StatusError("INVALID_ARGUMENT", `secret ${shown}: expected a path under the secrets directory`);
  const existing = (place: string): Promise<string> =>
    realpath(place).catch((error) => {
      throw unreadable(error, directory, shown);
    });
  const [root, file] = await Promise.all([existing(directory), existing(resolve(directory, path))]);
  if (!file.startsWith(root + sep))
    throw new StatusError("INVALID_ARGUMENT", `secret ${shown}: it leads out of the secrets directory`);
  try {
    return (await readFile(file, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    throw unreadable(error, directory, shown);
  }
}

function unreadable(error: unknown, directory: string, shown: string): StatusError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (["ENOENT", "ENOTDIR", "ELOOP"].includes(code))
    return new StatusError("NOT_FOUND", `secret ${shown}: there is no such file under ${directory}: put it there`);
  const hint = code === "EISDIR" ? "it is a directory" : `it cannot be read (${code})`;
  return new StatusError("FAILED_PRECONDITION", `secret ${shown}: ${hint}`);
}
