import { describe, expect, it } from "vitest";
import { directionOf } from "../../shared/valkey/load/redirector.ts";
import { addressAt } from "./address.ts";

const from = addressAt("10.0.0.5");

describe("an error reply", () => {
  it.each([
    ["MOVED 3999 10.0.0.7:6381", "MOVED", 3999, "10.0.0.7:6381"],
    ["ASK 3999 10.0.0.7:6381", "ASK", 3999, "10.0.0.7:6381"],
    ["MOVED 3999 node-7.example:6381", "MOVED", 3999, "node-7.example:6381"],
    ["MOVED 3999 :6381", "MOVED", 3999, "10.0.0.5:6381"],
    ["MOVED 3999 ?:6381", "MOVED", 3999, "10.0.0.5:6381"],
    ["MOVED 3999 2001:db8::7:6381", "MOVED", 3999, "[2001:db8::7]:6381"],
    ["TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN", -1, "10.0.0.5:6379"],
  ])("%s names where to send the command", (text, kind, slot, endpoint) => {
    expect(directionOf(text, from)).toMatchObject({ kind, slot, node: { endpoint, user: "default" } });
  });

  it.each([
    "CLUSTERDOWN The cluster is down",
    "MOVED",
    "MOVED x 10.0.0.7:6381",
    "BUSYKEY MOVED 1 :1",
    "",
  ])("%s names nowhere", (text) => {
    expect(directionOf(text, from)).toBeUndefined();
  });
});
