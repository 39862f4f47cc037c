import { StatusError } from "../../shared/error.ts";
import { described } from "./plain.ts";
import type { Session } from "./session.ts";

/** Prints one document; NOT_FOUND where there is none. */
export async function printDocument(session: Session, name: string): Promise<void> {
  const { ports } = await session.connect();
  const found = await ports.store.get(name);
  if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
  session.print(found.data, described(found.data));
}
