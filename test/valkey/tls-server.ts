import { rm } from "node:fs/promises";
import { connect } from "node:tls";
import { onFreePort } from "../../infra/local/port.ts";
import { startProcess } from "../../infra/local/process.ts";
import { findValkey } from "../../infra/local/valkey-server.ts";
import { type Certificate, makeCertificate } from "./certificate.ts";

export interface TlsServer {
  endpoint: string;
  certificate: Certificate;
  stop(): Promise<void>;
}

/** A Valkey that speaks nothing but TLS. */
export async function startTlsValkey(directives: string[] = [], subjectAltName?: string): Promise<TlsServer> {
  const certificate = await makeCertificate(subjectAltName);
  const { server } = await findValkey({ version: "8.0" });
  return onFreePort(undefined, async (port) => {
    const running = await startProcess({
      name: "valkey with TLS",
      command: [...server, "--bind", "127.0.0.1", "--save", "", ...certificate.directives(port), ...directives],
      directory: certificate.directory,
      ready: () => shakesHands(port),
    });
    const stop = async () => {
      await running.stop();
      await rm(certificate.directory, { recursive: true, force: true });
    };
    return { endpoint: `127.0.0.1:${port}`, certificate, stop };
  });
}

function shakesHands(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resolve(true);
      socket.destroy();
    });
    socket.once("error", () => resolve(false));
  });
}
