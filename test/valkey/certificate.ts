import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

export interface Certificate {
  /** Holds both files; the caller removes it. */
  directory: string;
  /** PEM of the certificate, which signs itself. */
  pem: string;
  /** Directives that make a server listen with TLS only, on the port. */
  directives: (port: number) => string[];
}

/** A certificate for 127.0.0.1 that signs itself, made by openssl. */
export async function makeCertificate(subjectAltName = "IP:127.0.0.1"): Promise<Certificate> {
  const directory = await mkdtemp(join(tmpdir(), "valkeep-certificate-"));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const names = ["-subj", "/CN=valkeep test", "-addext", `subjectAltName=${subjectAltName}`];
  await promisify(execFile)("openssl", [
    "req",
    "-x509",
    ...curve,
    "-keyout",
    key,
    "-out",
    cert,
    "-days",
    "2",
    ...names,
  ]);
  const files = [
    "--tls-cert-file",
    cert,
    "--tls-key-file",
    key,
    "--tls-ca-cert-file",
    cert,
    "--tls-auth-clients",
    "no",
  ];
  return {
    directory,
    pem: await readFile(cert, "utf8"),
    directives: (port) => ["--port", "0", "--tls-port", `${port}`, ...files],
  };
}
