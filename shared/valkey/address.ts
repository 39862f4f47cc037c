import { isIP } from "node:net";
import type { Instance } from "../backup/backup.ts";
import { StatusError } from "../error.ts";

/** Turns a reference such as `env:NAME` into the secret. */
export type ResolveSecret = (reference: string) => Promise<string>;

/** Where a server is and how to talk to it. Holds the password: never log or print one. */
export interface Address {
  host: string;
  port: number;
  /** With a port, as errors name it: `HOST:PORT`. */
  endpoint: string;
  tls: { ca?: string } | undefined;
  user: string;
  password: string | undefined;
}

/** The address of an instance, its secret resolved. INVALID_ARGUMENT: the endpoint is not `HOST:PORT`. */
export async function addressOf(instance: Instance, resolveSecret: ResolveSecret): Promise<Address> {
  const { endpoint, transitEncryptionMode, caCertificate, authUser, authSecret } = instance;
  return {
    ...parseEndpoint(endpoint),
    endpoint,
    tls:
      transitEncryptionMode === "SERVER_AUTHENTICATION"
        ? caCertificate === undefined
          ? {}
          : { ca: caCertificate }
        : undefined,
    user: authUser ?? "default",
    password: authSecret === undefined ? undefined : await resolveSecret(authSecret),
  };
}

/**
 * The same access at another node, as a node of ours names it. It gets the password as soon as it answers to a PING, so whoever may speak
 * for the deployment is believed: on a network where others could, only TLS makes sure whom it reaches.
 */
export function otherNode(address: Address, host: string, port: number): Address {
  return { ...address, host, port, endpoint: endpointAt(host, port) };
}

/** `HOST:PORT`; an IPv6 address stands in brackets. */
export const endpointAt = (host: string, port: number): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;

/** The other way round. */
export function parseEndpoint(endpoint: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(endpoint);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new StatusError(
      "INVALID_ARGUMENT",
      `endpoint "${endpoint}" is not HOST:PORT: give one such as 10.0.0.3:6379`,
    );
  }
  return { host, port };
}
