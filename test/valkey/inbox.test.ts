import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Inbox } from "../../shared/valkey/inbox.ts";

const SLAB_BYTES = 200_000;

describe("an inbox", () => {
  it("hands every byte on in order, and changes no view before the next one is taken", () => {
    // A number fills that many bytes; null takes a view.
    const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 90_000 }), fc.constant(null)), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (script) => {
        expect(play(script)).toEqual({ isInOrder: true, isStable: true });
      }),
    );
  });

  it("has no room while the reader holds one slab and has not taken the other", () => {
    const inbox = new Inbox(SLAB_BYTES);
    inbox.filled(SLAB_BYTES);
    inbox.take();
    expect(inbox.filled(SLAB_BYTES)).toBe(false);
  });

  it("has room again once the reader takes the other slab", () => {
    const inbox = new Inbox(SLAB_BYTES);
    inbox.filled(SLAB_BYTES);
    inbox.take();
    inbox.filled(SLAB_BYTES);
    inbox.take();
    expect(inbox.hasRoom()).toBe(true);
  });

  it("is filled until everything was taken", () => {
    const inbox = new Inbox(SLAB_BYTES);
    const before = inbox.isFilled;
    inbox.filled(SLAB_BYTES);
    inbox.filled(1);
    inbox.take();
    const between = inbox.isFilled;
    inbox.take();
    expect([before, between, inbox.isFilled]).toEqual([false, true, false]);
  });
});

/** Fills with a running count and reads it again. */
function play(script: (number | null)[]): { isInOrder: boolean; isStable: boolean } {
  const inbox = new Inbox(SLAB_BYTES);
  const outcome = { isInOrder: true, isStable: true };
  let sent = 0;
  let seen = 0;
  let held: { view: Uint8Array; copy: Buffer } | undefined;
  for (const step of [...script, null, null, null]) {
    if (step === null) {
      if (held && !held.copy.equals(held.view)) outcome.isStable = false;
      const view = inbox.take();
      for (const byte of view ?? []) if (byte !== seen++ % 251) outcome.isInOrder = false;
      held = view && { view, copy: Buffer.from(view) };
    } else if (inbox.hasRoom()) {
      const room = inbox.room().subarray(0, step);
      for (let at = 0; at < room.length; at++) room[at] = sent++ % 251;
      inbox.filled(room.length);
    }
  }
  if (seen !== sent) outcome.isInOrder = false;
  return outcome;
}
