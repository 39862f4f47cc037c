import { connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";

/** Stands between a client and its server. */
export interface Relay {
  endpoint: string;
  /** For so many milliseconds nothing of what the server answers goes through. */
  silence(forMs: number): void;
  stop(): Promise<void>;
}

/**
 * Hands each command of its clients on once `before` has seen it: so that something happens at the server between two of them. What the
 * server answers goes through as it comes, but seldom cut where a reply ends.
 */
export async function startRelay(to: string, before: (words: string[]) => Promise<void>): Promise<Relay> {
  const [host = "", port] = to.split(":");
  const sockets = new Set<Socket>();
  const pairs = new Map<Socket, Transform>();
  const server = createServer((client) => {
    const upstream = connect({ host, port: Number(port) });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket
        .on("error", () => undefined)
        .on("close", () => {
          client.destroy();
          upstream.destroy();
        });
    }
    const answers = ragged();
    upstream.pipe(answers).pipe(client);
    pairs.set(upstream, answers);
    handOn(client, upstream, before).catch(() => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const own = typeof address === "object" ? address?.port : undefined;
  return {
    endpoint: `127.0.0.1:${own}`,
    silence(forMs) {
      for (const [upstream, answers] of pairs) {
        upstream.unpipe(answers);
        setTimeout(() => upstream.pipe(answers), forMs);
      }
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Keeps the last bytes until more come, or none do for a moment. */
function ragged(): Transform {
  let held = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  const stream = new Transform({
    transform(chunk, _encoding, done) {
      clearTimeout(timer);
      const all = Buffer.concat([held, chunk]);
      const cut = Math.max(0, all.length - 7);
      held = all.subarray(cut);
      timer = setTimeout(() => {
        stream.push(held);
        held = Buffer.alloc(0);
      }, 2);
      done(null, all.subarray(0, cut));
    },
    flush(done) {
      clearTimeout(timer);
      done(null, held);
    },
  });
  return stream;
}

async function handOn(client: Socket, upstream: Socket, before: (words: string[]) => Promise<void>): Promise<void> {
  let pending = Buffer.alloc(0);
  for await (const chunk of client) {
    pending = Buffer.concat([pending, chunk]);
    for (let found = commandIn(pending); found !== undefined; found = commandIn(pending)) {
      await before(found.words);
      upstream.write(pending.subarray(0, found.end));
      pending = pending.subarray(found.end);
    }
  }
}

/** The first whole command (an array of bulks), and where it ends. */
function commandIn(bytes: Buffer): { words: string[]; end: number } | undefined {
  const words: string[] = [];
  const line = (from: number): { number: number; end: number } | undefined => {
    const end = bytes.indexOf("\r\n", from);
    return end === -1 ? undefined : { number: Number(bytes.toString("latin1", from + 1, end)), end: end + 2 };
  };
  const array = line(0);
  if (array === undefined) return undefined;
  let at = array.end;
  while (words.length < array.number) {
    const bulk = line(at);
    if (bulk === undefined || bulk.end + bulk.number + 2 > bytes.length) return undefined;
    words.push(bytes.toString("latin1", bulk.end, bulk.end + bulk.number));
    at = bulk.end + bulk.number + 2;
  }
  return { words, end: at };
}
