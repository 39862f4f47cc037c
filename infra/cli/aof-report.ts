import type { AofFile } from "../../shared/aof/multi-part.ts";
import { type AofVerdict, tornBytesOf } from "../../shared/aof/reader.ts";
import { sizeText } from "./plain.ts";
import { rdbLines, rdbReport } from "./rdb-report.ts";

/** What `--json` prints of one file with commands. */
export function aofReport({ sizeBytes, base, log }: AofVerdict) {
  const { endOffset = sizeBytes, commands = 0, transactions = 0, databases = [], lastTime, refused } = log ?? {};
  return {
    sizeBytes,
    ...(base !== undefined && { base: rdbReport(base) }),
    commands,
    transactions,
    databases,
    wholeBytes: endOffset,
    tornBytes: sizeBytes - endOffset,
    ...(lastTime !== undefined && { lastTime: new Date(lastTime * 1_000).toISOString() }),
    ...(refused !== undefined && { refused }),
  };
}

/** The same for people. */
export function aofLines(verdict: AofVerdict): string[] {
  const { sizeBytes, commands, transactions, databases, wholeBytes, tornBytes, lastTime, refused } = aofReport(verdict);
  const lines = verdict.base === undefined ? [] : rdbLines(verdict.base);
  if (verdict.log === undefined) return lines;
  const since = lastTime === undefined ? "" : `, the last of them after ${lastTime}`;
  const where = databases.length === 0 ? "" : ` into databases ${databases.join(", ")}`;
  lines.push(
    `AOF, ${sizeText(sizeBytes)} (${sizeBytes} bytes)`,
    `${commands} commands${where}, ${transactions} transactions${since}`,
  );
  if (tornBytes > 0) {
    lines.push(`torn: its last whole command ends before byte ${wholeBytes}, ${tornBytes} bytes are behind it`);
    lines.push(`a restore leaves them out, and so would valkey-check-aof --fix`);
  }
  if (refused !== undefined)
    lines.push(`a restore refuses it: ${refused.name}, at byte ${refused.offset}, is no command that a restore sends`);
  return lines;
}

/** What `--json` prints of the files of a manifest. */
export function partsReport(files: readonly AofFile[]) {
  const sum = (of: (file: AofFile) => number): number => files.reduce((total, file) => total + of(file), 0);
  return {
    sizeBytes: sum(({ sizeBytes }) => sizeBytes),
    commands: sum(({ log }) => log?.commands ?? 0),
    tornBytes: sum(tornBytesOf),
    files: files.map(({ fileName, type, ...verdict }) => ({ fileName, type, ...aofReport(verdict) })),
  };
}

/** The same for people. */
export const partsLines = (files: readonly AofFile[]): string[] =>
  files.flatMap(({ fileName, type, ...verdict }) => [
    `${fileName} (${type.toLowerCase()})`,
    ...aofLines(verdict).map((line) => `  ${line}`),
  ]);
