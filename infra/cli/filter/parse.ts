import { StatusError } from "../../../shared/error.ts";
import type { Filter } from "./filter.ts";
import { malformed, type Token, tokensOf } from "./token.ts";

/** In characters; bounds the depth of parentheses too. */
const longest = 1_000;

/** Reads a filter; INVALID_ARGUMENT says where it goes wrong and what was expected there. */
export function parseFilter(text: string): Filter {
  if (text.length > longest)
    throw new StatusError(
      "INVALID_ARGUMENT",
      `a filter of ${text.length} characters is too long: expected at most ${longest}`,
    );
  const tokens = createTokens(tokensOf(text));
  const filter = expression(tokens);
  if (tokens.next().kind === "end") return filter;
  throw tokens.wrong("expected AND, OR or the end");
}

type Tokens = ReturnType<typeof createTokens>;

function createTokens(tokens: readonly Token[]) {
  let at = 0;
  const next = (): Token => tokens[at] ?? { kind: "end", position: 1 };
  return {
    next,
    take(): Token {
      const token = next();
      at += 1;
      return token;
    },
    /** Whether the next one is this keyword, which is then taken. */
    takes(keyword: string): boolean {
      const token = next();
      const isIt = token.kind === "word" && token.text === keyword;
      if (isIt) at += 1;
      return isIt;
    },
    wrong: (expected: string, token = next()) => malformed(token.position, expected, shown(token)),
  };
}

/** `term [AND term]…` or `term [OR term]…` */
function expression(tokens: Tokens): Filter {
  const first = term(tokens);
  for (const [keyword, other, kind] of [
    ["AND", "OR", "all"],
    ["OR", "AND", "any"],
  ] as const) {
    const parts = [first];
    while (tokens.takes(keyword)) parts.push(term(tokens));
    if (parts.length === 1) continue;
    const token = tokens.next();
    if (token.kind === "word" && token.text === other)
      throw tokens.wrong(`expected parentheses around what is joined by ${keyword} before it is joined by ${other}`);
    return { kind, parts };
  }
  return first;
}

/** `NOT term`, `(expression)` or a condition. */
function term(tokens: Tokens): Filter {
  if (tokens.takes("NOT")) return { kind: "not", inner: term(tokens) };
  if (tokens.next().kind !== "(") return condition(tokens);
  tokens.take();
  const inner = expression(tokens);
  if (tokens.next().kind !== ")") throw tokens.wrong("expected AND, OR or )");
  tokens.take();
  return inner;
}

function condition(tokens: Tokens): Filter {
  const field = tokens.take();
  if (field.kind !== "word" || !isField(field.text))
    throw tokens.wrong("expected a field, such as state or automatedBackupConfig.retentionSeconds", field);
  const operator = tokens.take();
  if (operator.kind !== "operator")
    throw tokens.wrong(`expected =, !=, <, <=, >, >= or : after ${field.text}`, operator);
  const operand = tokens.take();
  if (operand.kind !== "operand") throw tokens.wrong(`expected a value after ${operator.text}`, operand);
  if (operator.text === ":" && operand.text === "*" && !operand.isQuoted)
    return { kind: "presence", field: field.text };
  return { kind: "comparison", field: field.text, operator: operator.text, operand: operand.text };
}

/** Names joined by dots; no keyword. */
export const isField = (text: string): boolean =>
  /^[A-Za-z_][\w-]*(\.[\w-]+)*$/.test(text) && !["AND", "OR", "NOT"].includes(text);

const shown = (token: Token): string => {
  if (token.kind === "end") return "the end";
  return JSON.stringify("text" in token ? token.text.slice(0, 40) : token.kind);
};
