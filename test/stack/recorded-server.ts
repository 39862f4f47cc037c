import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";

/** A server that tells what a real one told once, with changes: for faults that no test can bring a real one to. */
export interface RecordedServer extends AsyncDisposable {
  endpoint: string;
  /** From now on it tells these fields of INFO and these settings; whatever was told before is forgotten. */
  tell(info: Record<string, string>, config: Record<string, string>): void;
}

/** What a real Valkey told, recorded by `test/fixture/info/make.ts`. */
const usual = JSON.parse(readFileSync(join(import.meta.dirname, "../fixture/info/usual.json"), "utf8")) as {
  config: Record<string, string>;
  info: string[];
};

export async function startRecordedServer(): Promise<RecordedServer> {
  let told: { info: Record<string, string>; config: Record<string, string> } = { info: {}, config: {} };
  const sockets = new Set<Socket>();

  const info = (): string => {
    const kept = usual.info.filter((line) => !(line.slice(0, line.indexOf(":")) in told.info));
    return [...kept, ...Object.entries(told.info).map(([field, value]) => `${field}:${value}`)].join("\r\n");
  };
  function answer([command = "", , name = ""]: string[]): string {
    switch (command.toUpperCase()) {
      case "PING":
        return "+PONG\r\n";
      case "INFO":
        return bulk(info());
      case "CONFIG": {
        const value = told.config[name] ?? usual.config[name];
        return value === undefined ? "*0\r\n" : `*2\r\n${bulk(name)}${bulk(value)}`;
      }
      default:
        return "-ERR unknown command\r\n";
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket.on("close", () => sockets.delete(socket)).on("error", () => undefined));
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString();
      for (let found = nextCommand(text); found !== undefined; found = nextCommand(text)) {
        text = text.slice(found.length);
        socket.write(answer(found.words));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    endpoint: `127.0.0.1:${typeof address === "object" ? address?.port : ""}`,
    tell(changed, config) {
      told = { info: changed, config };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

/** The first whole command, an array of bulk strings, and how long it is. Only ASCII comes. */
function nextCommand(text: string): { words: string[]; length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const words: string[] = [];
  let at = head[0].length;
  for (let count = Number(head[1]); count > 0; count--) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (size === null) return undefined;
    const start = at + size[0].length;
    const end = start + Number(size[1]);
    if (text.length < end + 2) return undefined;
    words.push(text.slice(start, end));
    at = end + 2;
  }
  return { words, length: at };
}
