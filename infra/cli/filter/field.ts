import { StatusError } from "../../../shared/error.ts";

/**
 * What a document holds at a path such as `backupFiles.fileName`: every value, as a path may lead through lists, and a list
 * counts as its items. Nothing where the path leads nowhere, or to null.
 */
export function valuesAt(document: unknown, field: string): unknown[] {
  let values = flat([document]);
  for (const name of field.split(".")) values = flat(values.map((value) => childOf(value, name)));
  return values;
}

/**
 * Refuses a field that none of the documents has and that is not among the `optional` ones: more likely a slip of the finger than a
 * wish for nothing. Without documents there is nothing to compare with, and nothing to be missed.
 */
export function assertKnown(
  flag: string,
  field: string,
  documents: readonly unknown[],
  optional: readonly string[],
): void {
  if (documents.length === 0 || documents.some((document) => valuesAt(document, field).length > 0)) return;
  if (optional.some((known) => field === known || field.startsWith(`${known}.`))) return;
  const end = field.lastIndexOf(".");
  const parents = end === -1 ? documents : documents.flatMap((document) => valuesAt(document, field.slice(0, end)));
  const there = [...new Set([...parents.flatMap(namesOf), ...(end === -1 ? optional : [])])].sort();
  const expected = there.length > 0 ? `expected one of ${there.join(", ")}` : "there is nothing of that kind";
  throw new StatusError("INVALID_ARGUMENT", `--${flag}: nothing that is listed has a field ${field}: ${expected}`);
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The names of a map's fields. */
export const namesOf = (value: unknown): string[] => (isMap(value) ? Object.keys(value) : []);

const childOf = (value: unknown, name: string): unknown =>
  isMap(value) && Object.hasOwn(value, name) ? value[name] : undefined;

const flat = (values: unknown[]): unknown[] =>
  values
    .flatMap((value) => (Array.isArray(value) ? flat(value) : [value]))
    .filter((value) => value !== undefined && value !== null);
