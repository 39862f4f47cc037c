import { StatusError } from "../../error.ts";

/** Why the directory cannot be looked into where this runs. */
export function directoryFailure(directory: string, error: unknown): StatusError {
  const code = codeOf(error);
  const reason: Record<string, string> = {
    ENOENT: "is not there: mount the server's data directory there, where the function `snapshot` runs",
    ENOTDIR: "is no directory: --data-directory names the server's data directory as it is mounted here",
    EACCES: `may not be looked into by user ${process.getuid?.()}, as which this runs: grant it r and x there`,
  };
  const known = reason[code];
  if (known !== undefined) return new StatusError("FAILED_PRECONDITION", `the data directory ${directory} ${known}`);
  const message = `the data directory ${directory} does not answer (${code}): see its mount`;
  return new StatusError("UNAVAILABLE", message, { cause: error });
}

/** Why the server's file cannot be opened, or not be read to its end. */
export function readFailure(path: string, error: unknown): StatusError {
  const code = codeOf(error);
  if (code === "EACCES" || code === "EPERM") {
    const advice = `grant user ${process.getuid?.()}, as which this runs, to read it, or set the server's umask so`;
    return new StatusError("FAILED_PRECONDITION", `${path} may not be read: ${advice}`, { cause: error });
  }
  // ENXIO: a socket.
  if (code === "EISDIR" || code === "ENXIO") {
    const message = `a directory, or something else that is no file, is in the place of ${path}, where the server is to put its file: move it away`;
    return new StatusError("FAILED_PRECONDITION", message);
  }
  if (code === "ESTALE") {
    const message = `${path} was replaced while it was read, and its mount kept nothing of it: it is taken again`;
    return new StatusError("UNAVAILABLE", message, { cause: error });
  }
  return new StatusError("UNAVAILABLE", `${path} cannot be read (${code}): see its mount`, { cause: error });
}

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error ? String(error.code) : String(error);
