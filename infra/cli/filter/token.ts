import { StatusError } from "../../../shared/error.ts";
import { type Operator, operators } from "./filter.ts";

/** A word of a filter and where it begins, counted in characters from 1. */
export type Token = { position: number } & (
  | { kind: "word"; text: string }
  | { kind: "operator"; text: Operator }
  | { kind: "operand"; text: string; isQuoted: boolean }
  | { kind: "(" | ")" | "end" }
);

/** Takes a filter apart. What follows an operator is its operand, so `endpoint=10.0.0.5:6379` needs no quotes. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (;;) {
    at = endOf(/\s*/y, text, at);
    const { token, end } = tokenAt(text, at, tokens.at(-1)?.kind === "operator");
    tokens.push(token);
    if (token.kind === "end") return tokens;
    at = end;
  }
}

function tokenAt(text: string, at: number, isOperand: boolean): { token: Token; end: number } {
  const position = at + 1;
  const first = text[at];
  if (first === undefined) return { token: { kind: "end", position }, end: at };
  if (first === "(" || first === ")") return { token: { kind: first, position }, end: at + 1 };
  if (first === '"' || first === "'") return quotedAt(text, at);
  if (isOperand) {
    // `state==ACTIVE` is a slip, not a comparison with the text "=ACTIVE".
    if (/[=<>!:]/.test(first))
      throw malformed(position, "expected a value, in quotes if it begins so", JSON.stringify(first));
    const end = endOf(/[^\s()"']+/y, text, at);
    return { token: { kind: "operand", text: text.slice(at, end), isQuoted: false, position }, end };
  }
  const end = endOf(/[!<>]=|[=<>:]/y, text, at);
  const operator = operators.find((one) => one === text.slice(at, end));
  if (operator !== undefined) return { token: { kind: "operator", text: operator, position }, end };
  const wordEnd = endOf(/[^\s()"'!=<>:]+/y, text, at);
  if (wordEnd === at) throw malformed(position, "expected =, !=, <, <=, >, >= or :", JSON.stringify(first));
  return { token: { kind: "word", text: text.slice(at, wordEnd), position }, end: wordEnd };
}

/** Between quotes a backslash keeps the character after it from meaning anything. */
function quotedAt(text: string, at: number): { token: Token; end: number } {
  const quote = text[at];
  let value = "";
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === quote)
      return { token: { kind: "operand", text: value, isQuoted: true, position: at + 1 }, end: i + 1 };
    if (text[i] === "\\") i += 1;
    value += text[i] ?? "";
  }
  throw malformed(text.length + 1, `expected ${quote} to end the text that begins at character ${at + 1}`, "the end");
}

/** Where what matches at `at` ends; `at` itself where nothing does. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return at + (pattern.exec(text)?.[0].length ?? 0);
}

export const malformed = (position: number, expected: string, found: string): StatusError =>
  new StatusError("INVALID_ARGUMENT", `malformed filter at character ${position}: ${expected}, found ${found}`);
