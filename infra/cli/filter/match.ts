import { StatusError } from "../../../shared/error.ts";
import { assertKnown, namesOf, valuesAt } from "./field.ts";
import { type Comparison, conditionsOf, type Filter, type Operator } from "./filter.ts";
import { expectedFor, isLeaf, orderOf } from "./operand.ts";

/** Whether a document is what the filter asks for. `now`: milliseconds since 1970. Never throws; `assertFits` does that, once. */
export function matches(filter: Filter, document: unknown, now: number): boolean {
  switch (filter.kind) {
    case "presence":
      return valuesAt(document, filter.field).length > 0;
    case "comparison":
      return holds(filter, document, now);
    case "not":
      return !matches(filter.inner, document, now);
    case "all":
      return filter.parts.every((part) => matches(part, document, now));
    case "any":
      return filter.parts.some((part) => matches(part, document, now));
  }
}

/**
 * Refuses with INVALID_ARGUMENT a filter that cannot mean anything for these documents: a field that none has, or a value that
 * cannot be compared with what they have there.
 */
export function assertFits(
  filter: Filter,
  documents: readonly unknown[],
  optional: readonly string[],
  now: number,
): void {
  for (const condition of conditionsOf(filter)) {
    assertKnown("filter", condition.field, documents, optional);
    if (condition.kind === "comparison" && condition.operator !== ":") assertComparable(condition, documents, now);
  }
}

function assertComparable({ field, operand }: Comparison, documents: readonly unknown[], now: number): void {
  const values = documents.flatMap((document) => valuesAt(document, field));
  const leaves = values.filter(isLeaf);
  if (values.length > 0 && leaves.length === 0)
    throw new StatusError("INVALID_ARGUMENT", `--filter: ${field} is a map: name one of its fields, or ask ${field}:*`);
  const [first] = leaves;
  if (first === undefined || leaves.some((leaf) => orderOf(leaf, field, operand, now) !== undefined)) return;
  const shown = JSON.stringify(operand.slice(0, 40));
  throw new StatusError("INVALID_ARGUMENT", `--filter: ${field} ${shown}: expected ${expectedFor(first, field)}`);
}

/** Of a list, one item is enough; `!=` is the contrary of `=`, so it holds where there is no such field. */
function holds({ field, operator, operand }: Comparison, document: unknown, now: number): boolean {
  const values = valuesAt(document, field);
  if (operator === ":") return values.some((value) => contains(value, operand.toLowerCase()));
  const orders = values.filter(isLeaf).map((leaf) => orderOf(leaf, field, operand, now));
  if (operator === "!=") return !orders.some((order) => order === 0);
  return orders.some((order) => order !== undefined && agrees(order, operator));
}

function agrees(order: number, operator: Exclude<Operator, ":" | "!=">): boolean {
  switch (operator) {
    case "=":
      return order === 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

/** Text that has it in it, whatever the case; a map that has a field of that name. */
function contains(value: unknown, operand: string): boolean {
  if (isLeaf(value)) return String(value).toLowerCase().includes(operand);
  return namesOf(value).some((name) => name.toLowerCase() === operand);
}
