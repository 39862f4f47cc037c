/**
 * Frees the memory behind a view at once, where the view shows all of it: nobody may look at it any more. Left to V8, tens of
 * megabytes of such memory lie about until much else has come together, and show in the memory of the process.
 */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
