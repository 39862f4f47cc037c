/** What every terminal shows, and every pager. */
const columns = 80;

/** A word, or several in quotes, as they are typed. */
const words = /(?<!\S)'[^']*'\S*|\S+/g;

/** The words of a text in lines no longer than `width`, unless one word is. */
export function folded(text: string, width = columns): string[] {
  const lines: string[] = [];
  for (const word of text.match(words) ?? []) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && longer.length <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Wider words stand on a line of their own, so that what all of them mean keeps half of the columns. */
const widest = 28;

/** Words, indented by two, and beside each what it means, on 80 columns. */
export function glossary(entries: readonly (readonly [word: string, meaning: string])[]): string {
  const width = Math.max(0, ...entries.map(([word]) => word.length).filter((length) => length <= widest));
  const indent = " ".repeat(width + 4);
  const lines = entries.flatMap(([word, meaning]) => {
    const [first = "", ...more] = folded(meaning, columns - indent.length).map((line) => indent + line);
    return word.length > width ? [`  ${word}`, first, ...more] : [`  ${word}${first.slice(word.length + 2)}`, ...more];
  });
  return lines.join("\n");
}
