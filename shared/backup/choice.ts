import { StatusError } from "../error.ts";

/**
 * The enum value that a person means, in any case, with `-` or `_`, as `gcloud` takes it. `values`: what may be said, by its
 * spelling in the model. INVALID_ARGUMENT names what was expected.
 */
export function oneOf<T extends string>(what: string, text: string, values: Record<string, T>): T {
  const found = Object.entries(values).find(([said]) => said === text.toUpperCase().replaceAll("-", "_"));
  if (found !== undefined) return found[1];
  const expected = Object.keys(values).map((value) => value.toLowerCase().replaceAll("_", "-"));
  throw new StatusError(
    "INVALID_ARGUMENT",
    `unknown ${what} ${JSON.stringify(text.slice(0, 80))}: expected one of ${expected.join(", ")}`,
  );
}
