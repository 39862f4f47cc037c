/** One rule of the setting `save`: after so many seconds, if so many keys have changed. */
export interface SaveRule {
  seconds: number;
  changes: number;
}

/** The rules of `save`, such as `3600 1 300 100 60 10000`; none where it is empty. `undefined`: this is no such text. */
export function parseSaveRules(text: string): SaveRule[] | undefined {
  const words = text.trim() === "" ? [] : text.trim().split(/\s+/);
  if (words.length % 2 !== 0 || !words.every((word) => /^\d{1,15}$/.test(word))) return undefined;
  const rules: SaveRule[] = [];
  for (let at = 0; at < words.length; at += 2)
    rules.push({ seconds: Number(words[at]), changes: Number(words[at + 1]) });
  return rules;
}

/**
 * For how many seconds a change can at worst be in memory only. That is a single change, which only a rule for one change saves:
 * where there is none, it waits for ever (Infinity) for others to come.
 */
export function worstLossSeconds(rules: readonly SaveRule[]): number {
  return Math.min(...rules.filter(({ changes }) => changes <= 1).map(({ seconds }) => seconds));
}
