import type { Instance } from "../../shared/backup/backup.ts";
import type { EventMap } from "../../shared/backup/event.ts";
import type { KeyPattern } from "../../shared/backup/key-pattern.ts";
import { parseInstanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { Selection, SelectionMark } from "../../shared/backup/selection.ts";
import { StatusError } from "../../shared/error.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import type { Work } from "../../shared/pipeline/step.ts";
import { targetIn } from "../restore.ts";
import { type Group, groupsOf } from "./matches.ts";
import { takesOf } from "./select.ts";
import { groupSize, type LiveTarget, liveTarget } from "./target.ts";

/** How long one message goes on, in milliseconds; the next one goes on from there. */
const roundTime = 180_000;

/** A restore of single keys as its later steps find it. */
export interface Course {
  selection: Selection;
  request: EventMap["selection.v1.requested"];
  instance: Instance;
  takes: KeyPattern;
  target: LiveTarget;
}

/** What the first step has fixed, and the instance, asked no faster than it was said there. */
export async function courseOf(
  { operation, data }: Work<"matching.v1.requested" | "merge.v1.requested">,
  ports: Ports,
  signal: AbortSignal,
): Promise<Course> {
  const found = (await ports.store.get<Operation>(operation))?.data;
  const selection = found?.selection;
  if (selection === undefined) throw new StatusError("NOT_FOUND", `the selection of ${operation} is gone`);
  const instance = await targetIn(operation, parseInstanceName(data.instance), ports.store);
  const takes = await takesOf(selection.pattern, ports);
  const request = found?.request.data as Course["request"];
  const target = liveTarget(instance, selection.database, request.maxKeysPerSecond, ports, signal);
  return { selection, request, instance, takes, target };
}

/** Has each group handled, in turn, for as long as one message should; answers how far that went. */
export async function eachGroup(
  { selection, request, takes }: Course,
  { progress }: Pick<Work<"matching.v1.requested">, "progress">,
  { objects, clock }: Ports,
  signal: AbortSignal,
  handle: (group: Group) => Promise<void>,
): Promise<SelectionMark> {
  const started = clock.monotonic();
  const { files } = selection;
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let mark = selection.mark;
  for await (const group of groupsOf(selection, takes, groupSize(request.maxKeysPerSecond), objects, signal)) {
    signal.throwIfAborted();
    if (group.matches.length > 0) await handle(group);
    mark = group.mark;
    const before = files.slice(0, mark.file).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    progress(before + mark.offset, totalBytes);
    if (clock.monotonic() - started > roundTime) break;
  }
  return mark;
}

/** Whether everything was read. */
export const isAtEnd = ({ files }: Selection, { file }: SelectionMark): boolean => file >= files.length;
