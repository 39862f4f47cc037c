import { type Command, commonFlags, type Flag } from "./command.ts";
import { folded, glossary } from "./glossary.ts";

/** `usage: valkeep backups create INSTANCE [flags]` */
export function usageLine(name: string, command: Command): string {
  const words = Object.entries(command.positionals).map(([word, { isOptional }]) => (isOptional ? `[${word}]` : word));
  const required = Object.entries(command.flags)
    .filter(([, { isRequired }]) => isRequired)
    .map(([flag, { value }]) => `--${flag}=${value ?? "VALUE"}`);
  return ["usage: valkeep", name, ...words, ...required, "[flags]"].join(" ");
}

/** Everything about one verb. */
export function helpOf(name: string, summary: string, command: Command): string {
  const positionals = Object.entries(command.positionals).map(([word, { help }]) => [word, help] as const);
  const flags = Object.entries<Flag>({ ...command.flags, ...commonFlags }).map(
    ([flag, { type, value, help }]) => [`--${flag}${type === "string" ? `=${value ?? "VALUE"}` : ""}`, help] as const,
  );
  return [usageLine(name, command), "", ...folded(summary), "", glossary([...positionals, ...flags]), "", "example:"]
    .concat(`  ${folded(command.example, 72).join(" \\\n      ")}`)
    .join("\n");
}

/** The verbs that there are, or those of one noun. */
export function overview(commands: Record<string, { summary: string; isHidden?: true }>, noun?: string): string {
  const names = Object.entries(commands)
    .filter(([name, { isHidden }]) => !isHidden && (noun === undefined || name.split(" ")[0] === noun))
    .map(([name]) => name);
  return [
    `usage: valkeep ${noun ?? "NOUN"} VERB [flags]`,
    "",
    ...(noun === undefined ? ["Backups for Valkey that have been restored before you need them.", ""] : []),
    glossary(names.map((name) => [name, commands[name]?.summary ?? ""])),
    "",
    "valkeep NOUN VERB --help tells more.",
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 130 after Ctrl-C.",
  ].join("\n");
}
