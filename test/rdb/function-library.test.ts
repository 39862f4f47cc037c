import fc from "fast-check";
import { expect, it } from "vitest";
import { libraryNameOf } from "../../shared/rdb/function-library.ts";

it.each([
  ["#!lua name=mylib\nredis.register_function('f', f)", "mylib"],
  ["#!lua  name=My_Lib2\n", "My_Lib2"],
  ["#!lua name=mylib", "mylib"],
  ["#!lua Name=mylib\n", "mylib"],
  ["#!js api_version=1.0 name=other\n", "other"],
  ["#!lua name=mylib\r\n", "mylib"],
  ["#!lua\nname=mylib\n", undefined],
  ["-- no shebang\n-- name=mylib", undefined],
  ["", undefined],
])("the library of %j is called %s", (code, name) => {
  expect(libraryNameOf(Buffer.from(code))).toBe(name);
});

it("answers for any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3_000 }), (bytes) => void libraryNameOf(bytes)));
});
