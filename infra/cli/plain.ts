/** Text as it may be shown on a terminal: names from outside could hold control characters. */
export function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (found) => {
    return `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Bytes for people: `12.3 MiB`. */
export function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/**
 * A document for people, a line for each field, what lies in it indented: its name first, whatever the order in which the store
 * hands fields out. Sizes are shown for people and exactly; of text with several lines (a certificate) only the first is shown.
 */
export function described(value: unknown, indent = ""): string {
  return Object.entries({ name: undefined, ...Object(value) })
    .filter(([, inner]) => inner !== undefined && inner !== "")
    .map(([field, inner]) => fieldText(field, inner, indent))
    .join("\n");
}

function fieldText(field: string, value: unknown, indent: string): string {
  if (Array.isArray(value))
    return `${indent}${field}:${value.map((item) => itemText(item, indent)).join("") || " none"}`;
  if (typeof value === "object" && value !== null) {
    const inner = described(value, `${indent}  `);
    return `${indent}${field}:${inner === "" ? " none" : `\n${inner}`}`;
  }
  if (typeof value === "number" && field.endsWith("Bytes") && value >= 1024)
    return `${indent}${field}: ${sizeText(value)} (${value})`;
  const [first = "", ...more] = String(value).trimEnd().split("\n");
  return `${indent}${field}: ${plain(first)}${more.length > 0 ? " …" : ""}`;
}

function itemText(item: unknown, indent: string): string {
  if (typeof item !== "object") return `\n${indent}- ${plain(String(item))}`;
  return `\n${indent}- ${described(item, `${indent}  `).trimStart()}`;
}
