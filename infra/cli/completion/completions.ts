import { type Command, commonFlags, type Flag, type Read } from "../command.ts";
import { commands } from "../commands.ts";
import { findCommand } from "../find-command.ts";
import type { Session } from "../session.ts";
import { namesFor } from "./resources.ts";

/** Something that the last word can become. */
export interface Completion {
  value: string;
  help?: string;
}

/**
 * What the last of the words can become; the words before it are taken as they are. Words after `valkeep`, the last one may be empty.
 */
export async function completionsOf(words: readonly string[], session: Session): Promise<Completion[]> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const found = findCommand(before);
  const all =
    found === undefined
      ? verbsAfter(before)
      : await ofVerb(found.name, await found.entry.load(), found.args, current, session);
  return all.filter(({ value }) => value.startsWith(current) && value !== "");
}

/** Nouns, or the verbs of one. */
function verbsAfter(before: readonly string[]): Completion[] {
  const [noun, ...more] = before;
  if (more.length > 0) return [];
  const found = new Map<string, Completion>();
  for (const [name, { summary, isHidden }] of Object.entries(commands)) {
    const [first = "", second] = name.split(" ");
    if (isHidden || (noun !== undefined && (first !== noun || second === undefined))) continue;
    const value = noun === undefined ? first : (second ?? "");
    const isWhole = noun !== undefined || second === undefined;
    if (!found.has(value)) found.set(value, isWhole ? { value, help: summary } : { value });
  }
  return [...found.values()];
}

async function ofVerb(
  name: string,
  command: Command,
  before: readonly string[],
  current: string,
  session: Session,
): Promise<Completion[]> {
  const flags: Record<string, Flag> = { ...command.flags, ...commonFlags };
  const { given, positionals, open } = readWords(before, flags);
  if (open !== undefined) return await valuesOf(name, open, current, session);
  const [, flag = "", value] = /^--([^=]+)=(.*)$/s.exec(current) ?? [];
  if (value !== undefined) {
    const values = await valuesOf(name, flags[flag] ?? {}, value, session);
    return values.map((one) => ({ value: `--${flag}=${one.value}` }));
  }
  const positional = current.startsWith("-") ? undefined : Object.values(command.positionals)[positionals];
  if (positional !== undefined) return await valuesOf(name, positional, current, session);
  return Object.entries(flags)
    .filter(([one]) => !given.has(one))
    .map(([one, { type, help }]) => ({ value: type === "string" ? `--${one}=` : `--${one}`, help }));
}

/** The flags that are there, how many positionals, and the flag whose value comes next, where the last word is one. */
function readWords(words: readonly string[], flags: Readonly<Record<string, Flag>>) {
  const given = new Set<string>();
  let positionals = 0;
  let open: Flag | undefined;
  for (const word of words) {
    if (open !== undefined) open = undefined;
    else if (!word.startsWith("--")) positionals += 1;
    else {
      const [name = "", value] = word.slice(2).split("=", 2);
      given.add(name);
      const flag = flags[name];
      if (value === undefined && flag?.type === "string") open = flag;
    }
  }
  return { given, positionals, open };
}

/** What may stand for a flag's or a positional's value. */
async function valuesOf(
  verb: string,
  { values, read }: { values?: readonly string[]; read?: Read },
  current: string,
  session: Session,
): Promise<Completion[]> {
  const names = values ?? (read === undefined ? [] : await namesFor(verb, read, current, session));
  return names.map((value) => ({ value }));
}
