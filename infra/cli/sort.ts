import { StatusError } from "../../shared/error.ts";
import { assertKnown, valuesAt } from "./filter/field.ts";
import { isLeaf, type Leaf } from "./filter/operand.ts";
import { isField } from "./filter/parse.ts";

/** A field to sort by, as gcloud's `--sort-by` has them. */
export interface SortKey {
  field: string;
  isDescending: boolean;
}

/** `~createTime,name`: the fields from the most to the least important, with `~` from the largest to the smallest. */
export function parseSortKeys(text: string): SortKey[] {
  return text.split(",").map((part) => {
    const isDescending = part.startsWith("~");
    const field = isDescending ? part.slice(1) : part;
    if (isField(field)) return { field, isDescending };
    throw new StatusError(
      "INVALID_ARGUMENT",
      `malformed field ${JSON.stringify(part.slice(0, 40))}: expected such as createTime, or ~createTime for the newest first`,
    );
  });
}

/**
 * The documents in that order; those that agree stay as they were, and those without the field come last either way. Refuses a field
 * that nobody has, and one that is a list or a map.
 */
export function sorted<T>(documents: readonly T[], keys: readonly SortKey[], optional: readonly string[]): T[] {
  const columns = keys.map(({ field, isDescending }) => {
    assertKnown("sort-by", field, documents, optional);
    return { sign: isDescending ? -1 : 1, values: new Map(documents.map((one) => [one, leafAt(one, field)])) };
  });
  return [...documents].sort((a, b) => {
    for (const { sign, values } of columns) {
      const [left, right] = [values.get(a), values.get(b)];
      if (left === right) continue;
      if (left === undefined || right === undefined) return left === undefined ? 1 : -1;
      return sign * compare(left, right);
    }
    return 0;
  });
}

function leafAt(document: unknown, field: string): Leaf | undefined {
  const [value, ...more] = valuesAt(document, field);
  if (value === undefined || (isLeaf(value) && more.length === 0)) return value;
  throw new StatusError("INVALID_ARGUMENT", `--sort-by: ${field} is a list or a map: expected a field with one value`);
}

/** Numbers and booleans as numbers, text as text: times are written so that they sort as such. */
function compare(a: Leaf, b: Leaf): number {
  const isNumeric = typeof a !== "string" && typeof b !== "string";
  const [left, right] = isNumeric ? [Number(a), Number(b)] : [String(a), String(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}
