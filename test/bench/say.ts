const began = performance.now();

/** One line of progress on standard error, with the seconds since the start: the tables alone go to standard output. */
export function say(text: string): void {
  console.error(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${text}`);
}

export const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
