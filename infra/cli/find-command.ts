import { commands } from "./commands.ts";

/** The verb with the longest name that the words begin with, and the words after it. */
export function findCommand(words: readonly string[]) {
  for (const count of [2, 1]) {
    const name = words.slice(0, count).join(" ");
    const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (words.length >= count && entry !== undefined) return { name, entry, args: words.slice(count) };
  }
  return undefined;
}
