import type { Finding } from "../../../shared/backup/finding.ts";
import { severities } from "../../../shared/backup/finding.ts";
import type { Operation } from "../../../shared/backup/operation.ts";
import { beginTimeOf } from "../../../shared/pipeline/identity.ts";
import { shortName } from "../names.ts";
import { plain, sizeText } from "../plain.ts";
import { table } from "../table.ts";
import type { Protection, Status } from "./gather.ts";

/** The smallest terminal that there is; the prompt takes the last line. */
const columns = 80;
const most = { instances: 7, findings: 5, failed: 2 };

/** `watch` runs every quarter of an hour: after twice that nobody watches, in seconds. */
const watchPatience = 1800;

/** A status that fits 80 columns and 24 lines: the worst of everything, the rest counted. */
export function screen(status: Status): string {
  const lines = [
    headline(status),
    "",
    ...instanceLines(status),
    "",
    ...findingLines(status.findings),
    "",
    ...operationLines(status),
  ];
  return lines.map((line) => cut(plain(line))).join("\n");
}

function headline({ totals, watchTime, time }: Status): string {
  const held = `${totals.instances} instances, ${totals.backups} backups, ${sizeText(totals.sizeBytes)}`;
  if (watchTime === undefined) return `${held}; watch has not run yet`;
  const age = secondsBetween(watchTime, time);
  return `${held}; watched ${span(age)} ago${age > watchPatience ? ": NOBODY WATCHES" : ""}`;
}

function instanceLines({ instances, time }: Status): string[] {
  if (instances.length === 0) return ["no instances: valkeep instances create registers one"];
  const shown = instances.slice(0, most.instances);
  const rows = shown.map((one) => instanceRow(one, time));
  return [
    ...table([["INSTANCE", "BACKED UP", "OBJECTIVE", "NEXT RUN", "STATE"], ...rows]).split("\n"),
    ...rest(instances.length - shown.length, "instances: valkeep instances list"),
  ];
}

function instanceRow(
  { instance, ageSeconds, objectiveSeconds, nextTime, severity }: Protection,
  now: string,
): string[] {
  return [
    instance.length > 30 ? `${instance.slice(0, 29)}…` : instance,
    ageSeconds === undefined ? "never" : `${span(ageSeconds)} ago`,
    objectiveSeconds === undefined ? "none" : span(objectiveSeconds),
    nextTime === undefined ? "" : `in ${span(secondsBetween(now, nextTime))}`,
    severity ?? "ok",
  ];
}

function findingLines(findings: readonly Finding[]): string[] {
  if (findings.length === 0) return ["no findings"];
  const counts = severities.map((severity) => findings.filter((finding) => finding.severity === severity).length);
  const heading = severities.map((severity, i) => `${counts[i]} ${severity}`).reverse();
  const shown = findings.slice(0, most.findings);
  return [
    `findings: ${heading.join(", ")}`,
    ...shown.map(({ severity, resource, message }) => `${severity.padEnd(8)}  ${shortName(resource)}: ${message}`),
    ...rest(findings.length - shown.length, "findings: valkeep findings list"),
  ];
}

function operationLines({ running, failed, sweep, time }: Status): string[] {
  const swept = sweep === undefined ? "never" : `${span(secondsBetween(sweep.createTime, time))} ago${endText(sweep)}`;
  const shown = failed.slice(0, most.failed);
  const waiting = running.filter((operation) => isWaiting(operation, time)).length;
  const counts = [
    `${running.length - waiting} running`,
    ...(waiting > 0 ? [`${waiting} waiting`] : []),
    `${failed.length} failed within a day`,
  ];
  return [
    `operations: ${counts.join(", ")}; swept ${swept}`,
    ...shown.map(({ name, error }) => `failed    ${shortName(name)}: ${error?.message ?? ""}`),
  ];
}

/** Postponed, or asked for ahead of its time as a second look is: nobody works at it. */
const isWaiting = (operation: Operation, now: string): boolean =>
  beginTimeOf(operation) > now || (operation.postponed?.until ?? now) > now;

const endText = ({ done, error }: NonNullable<Status["sweep"]>): string =>
  done ? (error === undefined ? "" : `, ${error.code}`) : ", still running";

const rest = (count: number, what: string): string[] => (count > 0 ? [`and ${count} more ${what}`] : []);

const cut = (line: string): string => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line);

const secondsBetween = (from: string, to: string): number =>
  Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));

/** `42 s`, `17 min`, `26 h` or `9 d`. */
function span(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
