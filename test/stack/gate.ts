import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy that can hold bytes back: whatever goes through it can be met in its middle. */
export interface Gate {
  /** "127.0.0.1:PORT" */
  readonly endpoint: string;
  /**
   * From now on each connection lets so many bytes pass (`down`: from the server; `up`: to it) and then holds the rest.
   * Resolves once one holds.
   */
  shut(direction: "down" | "up", afterBytes: number): Promise<void>;
  /** Lets everything pass, what was held first. */
  open(): void;
  close(): void;
}

/** Starts a gate in front of a server. Connections stay as long as both sides keep them. */
export async function startGate(upstream: string): Promise<Gate> {
  const [host = "", port] = upstream.split(":");
  const sockets = new Set<Socket>();
  const held = new Set<Socket>();
  let limits = { down: Number.POSITIVE_INFINITY, up: Number.POSITIVE_INFINITY };
  let holds = Promise.withResolvers<void>();

  function carry(from: Socket, to: Socket, direction: "down" | "up"): void {
    let passed = 0;
    sockets.add(from);
    from.on("data", (chunk) => {
      passed += chunk.length;
      if (passed > limits[direction]) {
        held.add(from);
        from.pause();
        from.unshift(chunk);
        passed -= chunk.length;
        holds.resolve();
      } else if (!to.write(chunk)) {
        from.pause();
        to.once("drain", () => {
          if (!held.has(from)) from.resume();
        });
      }
    });
    // One side that has gone takes the other with it.
    from.on("error", () => undefined);
    from.on("close", () => {
      sockets.delete(from);
      held.delete(from);
      to.destroy();
    });
  }

  const server = createServer((client) => {
    const origin = connect({ host, port: Number(port) });
    carry(client, origin, "up");
    carry(origin, client, "down");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    shut(direction, afterBytes) {
      limits = { ...limits, [direction]: afterBytes };
      holds = Promise.withResolvers();
      return holds.promise;
    },
    open() {
      limits = { down: Number.POSITIVE_INFINITY, up: Number.POSITIVE_INFINITY };
      for (const socket of held) {
        held.delete(socket);
        socket.resume();
      }
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
