/** The names of the fields that a `T` need not have. */
type Optional<T> = { [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? K : never }[keyof T] & string;

/**
 * The fields that a document of a type need not have, for a list's `optional`: all of them, or it does not compile. One that was
 * forgotten would be refused in a filter until the first document has it, and a filter in a script would fail until then.
 */
export const optionalFields = <T>(fields: Record<Optional<T>, true>): string[] => Object.keys(fields);
