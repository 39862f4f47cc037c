import { StatusError } from "../../shared/error.ts";
import type { Flag } from "./command.ts";
import { assertFits, matches } from "./filter/match.ts";
import { parseFilter } from "./filter/parse.ts";
import { parseSortKeys, sorted } from "./sort.ts";

/** Flags of every verb that lists, as gcloud has them. */
export const selectionFlags = {
  filter: {
    type: "string",
    value: "EXPRESSION",
    help: "only those, such as 'state=ACTIVE AND createTime>-7d'; fields as in --json",
    read: checkedBy(parseFilter),
  },
  "sort-by": {
    type: "string",
    value: "FIELDS",
    help: "in this order, such as ~totalSizeBytes,name; ~ for the largest first",
    read: checkedBy(parseSortKeys),
  },
  limit: {
    type: "string",
    value: "COUNT",
    help: "how many at most, 1 to 1000",
    read: checkedBy((text) => {
      if (/^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= 1000) return;
      throw new StatusError("INVALID_ARGUMENT", `malformed count ${JSON.stringify(text)}: expected 1 to 1000`);
    }),
  },
} as const satisfies Record<string, Flag>;

/** The values of those flags. */
export type SelectionFlags = { [K in keyof typeof selectionFlags]: string | undefined };

/**
 * The documents that the flags ask for, in the order that they ask for, else as they are. `optional`: fields that a document need not
 * have, so that asking for them is no mistake even if none has them. `now`: milliseconds since 1970.
 */
export function select<T>(
  documents: readonly T[],
  { filter: filterText, "sort-by": sortText, limit }: SelectionFlags,
  optional: readonly string[],
  now: number,
): T[] {
  const filter = filterText === undefined ? undefined : parseFilter(filterText);
  if (filter !== undefined) assertFits(filter, documents, optional, now);
  const inOrder = sortText === undefined ? documents : sorted(documents, parseSortKeys(sortText), optional);
  return inOrder
    .filter((document) => filter === undefined || matches(filter, document, now))
    .slice(0, limit === undefined ? undefined : Number(limit));
}

/** The text as it is, once it was understood. */
function checkedBy(check: (text: string) => unknown): (text: string) => string {
  return (text) => {
    check(text);
    return text;
  };
}
