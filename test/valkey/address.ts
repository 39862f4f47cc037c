import type { Address } from "../../shared/valkey/address.ts";

/** A server at the usual port, without TLS and password. Nobody need answer there. */
export const addressAt = (host: string): Address => ({
  host,
  port: 6379,
  endpoint: `${host}:6379`,
  tls: undefined,
  user: "default",
  password: undefined,
});
