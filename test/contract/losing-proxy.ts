import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { createObjects } from "../../shared/gcs/objects.ts";
import type { Limits } from "../../shared/gcs/patience.ts";
import type { Objects } from "../../shared/pipeline/ports.ts";

/** Stands before a storage server, and breaks the connection in place of the first answer to a PUT that has this status. */
export async function startLosingProxy(target: string, status: number) {
  let lost = 0;
  let url = "";
  const proxy = createServer((asked, answer) => {
    const { method = "GET", headers } = asked;
    const onward = request(`${target}${asked.url}`, { method, headers }, (response) => {
      if (method === "PUT" && response.statusCode === status && lost === 0) {
        lost += 1;
        response.resume();
        asked.socket.resetAndDestroy();
        return;
      }
      // The session's URI has to lead here again.
      const { location } = response.headers;
      const moved = location === undefined ? {} : { location: location.replace(target, url) };
      answer.writeHead(response.statusCode ?? 500, { ...response.headers, ...moved });
      response.pipe(answer);
    });
    onward.on("error", () => asked.socket.destroy());
    asked.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  return {
    objects: (limits: Limits): Objects => createObjects({ projectId: "proxied", apiEndpoint: url, limits }),
    lost: () => lost,
    stop: () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
