/**
 * What `--filter` asks for: a small part of gcloud's filter language (cloud.google.com/sdk/gcloud/reference/topic/filters). Unlike
 * there, AND and OR beside each other want parentheses: gcloud's precedence of the two is not what most people expect.
 */
export type Filter = Comparison | Presence | { kind: "not"; inner: Filter } | { kind: "all" | "any"; parts: Filter[] };

export const operators = ["=", "!=", "<", "<=", ">", ">=", ":"] as const;
export type Operator = (typeof operators)[number];

/** `field OPERATOR operand`; `:` is "contains". */
export interface Comparison {
  kind: "comparison";
  /** Its path, as in the JSON of the document. */
  field: string;
  operator: Operator;
  operand: string;
}

/** `field:*`: it is there. */
export interface Presence {
  kind: "presence";
  field: string;
}

/** The conditions of a filter, from left to right. */
export function conditionsOf(filter: Filter): (Comparison | Presence)[] {
  switch (filter.kind) {
    case "comparison":
    case "presence":
      return [filter];
    case "not":
      return conditionsOf(filter.inner);
    case "all":
    case "any":
      return filter.parts.flatMap(conditionsOf);
  }
}
