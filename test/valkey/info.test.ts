import { expect, it } from "vitest";
import { parseInfo } from "../../shared/valkey/info.ts";

it("lists the modules by their names", () => {
  const text =
    "# Modules\r\nmodule:name=bf,ver=10000,api=1,filters=0,usedby=[],using=[],options=[]\r\n" +
    "module:name=json,ver=10010,api=1,filters=0,usedby=[search],using=[],options=[handle-io-errors]\r\n";
  expect(parseInfo(text).modules).toEqual(["bf", "json"]);
});

it("finds none where there are none", () => {
  expect(parseInfo("# Modules\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n").modules).toEqual([]);
});
