import type { Log } from "../pipeline/ports.ts";

/** One line as it was logged. */
export interface LogLine {
  severity: Parameters<Log>[0];
  message: string;
  fields: Record<string, unknown>;
}

/** A log that keeps its lines, the oldest first. */
export function createMemoryLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  return { log: (severity, message, fields = {}) => void lines.push({ severity, message, fields }), lines };
}
