import { barOf } from "./progress-bar.ts";
import type { Session } from "./session.ts";

/** Milliseconds between two pictures. */
const interval = 250;

/** The same bytes; somebody who watches sees how many have passed. Each chunk is passed on before the next is asked for. */
export function metered(
  source: AsyncIterable<Uint8Array>,
  totalBytes: number,
  session: Session,
): AsyncIterable<Uint8Array> {
  return session.isTerminal ? drawn(source, totalBytes, session) : source;
}

async function* drawn(
  source: AsyncIterable<Uint8Array>,
  totalBytes: number,
  session: Session,
): AsyncGenerator<Uint8Array, void, undefined> {
  let doneBytes = 0;
  let drawTime = performance.now();
  try {
    for await (const chunk of source) {
      doneBytes += chunk.byteLength;
      if (performance.now() - drawTime >= interval) {
        drawTime = performance.now();
        session.draw(`\r\u001b[K${barOf(doneBytes, totalBytes)}`);
      }
      yield chunk;
    }
  } finally {
    session.draw("\r\u001b[K");
  }
}
