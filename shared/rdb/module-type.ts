/** module.c, ModuleTypeNameCharSet: six bits a character. */
const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The nine characters that a module's type is named by, from its 64-bit id; the ten lowest bits are its version. */
export function moduleTypeName(high: number, low: number): string {
  const id = (BigInt(high) << 32n) | BigInt(low);
  let name = "";
  for (let shift = 58n; shift >= 10n; shift -= 6n) name += characters[Number((id >> shift) & 63n)];
  return name;
}
