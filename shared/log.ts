import type { Log } from "./pipeline/ports.ts";

/** One JSON line for each entry on standard output, as Cloud Logging reads it (`severity`, `message`, fields). */
export const log: Log = (severity, message, fields = {}) => {
  process.stdout.write(`${JSON.stringify({ severity, time: new Date().toISOString(), message, ...fields })}\n`);
};
