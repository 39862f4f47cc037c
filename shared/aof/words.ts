const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };

/**
 * The words of a line as a server splits it (`sdssplitargs` in sds.c): apart by blanks, `"…"` with escapes such as `\n` and
 * `\x20`, `'…'` with `\'` alone. `undefined`: a quote is not closed, or something stands right behind one.
 */
export function splitWords(line: string): string[] | undefined {
  const words: string[] = [];
  let rest = line;
  for (;;) {
    rest = rest.replace(/^[ \t\n\r\v\f\0]+/, "");
    if (rest === "") return words;
    // A quote may begin within a word, and ends it.
    const plain = /^[^ \t\n\r\0"']*/.exec(rest)?.[0] ?? "";
    rest = rest.slice(plain.length);
    const quoted = /^"((?:[^"\\]|\\.)*)"|^'((?:[^'\\]|\\'|\\(?!'))*)'/s.exec(rest);
    rest = rest.slice(quoted?.[0].length ?? 0);
    if (!/^([ \t\n\r\v\f\0]|$)/.test(rest)) return undefined;
    const [, double, single = ""] = quoted ?? [];
    words.push(plain + (double === undefined ? single.replaceAll("\\'", "'") : unescaped(double)));
  }
}

/** Bytes come as the characters 0 to 255. */
const unescaped = (text: string): string =>
  text.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/gs, (_, hex?: string, char: string = "") =>
    hex === undefined ? (escapes[char] ?? char) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
