/** The answer to INFO, as text, read into names and values. Lines of `module:` repeat; the others do not. */
export interface Info {
  get(name: string): string | undefined;
  /** 0 where it is absent. */
  number(name: string): number;
  /** Every field but those of databases and modules. */
  fields: Record<string, string>;
  databases: Record<string, { keys: number; expires: number }>;
  /** Names of the loaded modules. */
  modules: string[];
}

export function parseInfo(text: string): Info {
  const fields = new Map<string, string>();
  const databases: Info["databases"] = {};
  const modules: string[] = [];
  for (const [, name = "", value = ""] of text.matchAll(/^([^#:\r\n]+):(.*?)\r?$/gm)) {
    const database = /^db(\d+)$/.exec(name)?.[1];
    if (database !== undefined) {
      databases[database] = { keys: part(value, "keys"), expires: part(value, "expires") };
    } else if (name === "module") modules.push(/^name=([^,]*)/.exec(value)?.[1] ?? "");
    else fields.set(name, value);
  }
  const number = (name: string) => Number(fields.get(name) ?? 0);
  return { get: (name) => fields.get(name), number, fields: Object.fromEntries(fields), databases, modules };
}

/** `n` of `…,name=n,…`. */
function part(value: string, name: string): number {
  return Number(new RegExp(`(?:^|,)${name}=(\\d+)`).exec(value)?.[1] ?? 0);
}
