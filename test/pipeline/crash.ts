import { StatusError } from "../../shared/error.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";

/**
 * How a delivery goes wrong at one of its effects. `before`, `after`: it dies there, the effect not done or done. `mid`: it dies
 * while a stream passes. `answered`: the effect is done, but an error comes back. `frozen`, `thawed`: it stands still before or
 * after the effect, until somebody else has taken its lease, and then goes on: a zombie.
 */
export type Fault = "before" | "after" | "mid" | "answered" | "frozen" | "thawed";
export const faults: readonly Fault[] = ["before", "after", "mid", "answered", "frozen", "thawed"];

/** Ports of one delivery, under watch. */
export interface Watched {
  ports: Ports;
  /** Effects so far, by name. */
  effects: string[];
  /** Whether the fault was met. */
  wasHit(): boolean;
  /** Dead or frozen: nothing of this delivery goes on by itself. */
  isStill(): boolean;
  thaw(): void;
}

const never = new Promise<never>(() => undefined);

/**
 * Wraps every port of one delivery. At the effect `at` (0 is the first) the fault happens. After a death no call of this delivery
 * ever settles again, so neither `finally` nor a timer runs on.
 */
export function watch(ports: Ports, fault?: Fault, at = -1): Watched {
  const effects: string[] = [];
  let wasHit = false;
  let isDead = false;
  let thaw: () => void = () => undefined;
  let frozen: Promise<void> | undefined;

  const gate = async (): Promise<void> => {
    if (isDead) await never;
    if (frozen !== undefined) await frozen;
  };
  const freeze = async (): Promise<void> => {
    frozen = new Promise((resolve) => {
      thaw = () => {
        frozen = undefined;
        resolve();
      };
    });
    await frozen;
  };
  const die = async (): Promise<never> => {
    isDead = true;
    return await never;
  };

  async function call(name: string, act: () => Promise<unknown>): Promise<unknown> {
    await gate();
    const isHere = effects.push(name) - 1 === at && fault !== "mid";
    if (!isHere) return await guarded(act);
    wasHit = true;
    if (fault === "before") return await die();
    if (fault === "frozen") await freeze();
    const result = await act();
    if (fault === "after") return await die();
    if (fault === "thawed") await freeze();
    if (fault === "answered") throw new StatusError("UNKNOWN", "the answer was lost");
    return result;
  }

  async function guarded(act: () => Promise<unknown>): Promise<unknown> {
    try {
      return await act();
    } finally {
      await gate();
    }
  }

  /** A stream that dies between its chunks, or before its end, where it is the one to do so. */
  async function* stream(source: AsyncIterable<Uint8Array>, isHere: boolean): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      await gate();
      yield chunk;
      if (isHere) {
        wasHit = true;
        await die();
      }
    }
    await gate();
  }

  const isStream = (value: unknown): value is AsyncIterable<Uint8Array> =>
    typeof value === "object" && value !== null && Symbol.asyncIterator in value;

  function wrap<T extends object>(port: T, name: string): T {
    return new Proxy(port, {
      get(target, property) {
        const method: unknown = Reflect.get(target, property);
        if (!isMethod(method)) return method;
        return (...args: unknown[]) => {
          const label = `${name}.${String(property)}`;
          const isHere = effects.length === at && fault === "mid";
          const passed = args.map((arg) => (isStream(arg) ? stream(arg, isHere) : arg));
          if (label === "clock.sleep") return slept(method, target, passed);
          if (name === "clock") return method.apply(target, passed);
          if (isStreaming(label)) {
            effects.push(label);
            return stream(method.apply(target, passed) as AsyncIterable<Uint8Array>, isHere);
          }
          return call(label, async () => await method.apply(target, passed));
        };
      },
    });
  }

  /** Sleeping is no effect, but the dead do not wake. */
  async function slept(method: (...args: unknown[]) => unknown, target: object, args: unknown[]): Promise<unknown> {
    await gate();
    return await guarded(async () => await method.apply(target, args));
  }

  return {
    ports: {
      ...ports,
      store: wrap(ports.store, "store"),
      objects: wrap(ports.objects, "objects"),
      events: wrap(ports.events, "events"),
      valkey: wrap(ports.valkey, "valkey"),
      scheduler: wrap(ports.scheduler, "scheduler"),
      clock: wrap(ports.clock, "clock"),
    },
    effects,
    wasHit: () => wasHit,
    isStill: () => isDead || frozen !== undefined,
    thaw: () => thaw(),
  };
}

const isMethod = (value: unknown): value is (...args: unknown[]) => unknown => typeof value === "function";

/** Whether an effect answers a stream: it has no before and after, and goes wrong in the midst of it alone. */
export const isStreaming = (label: string): boolean =>
  ["objects.read", "objects.list", "valkey.snapshot", "valkey.scan", "valkey.dump"].includes(label);
