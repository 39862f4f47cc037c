import { setTimeout as sleep } from "node:timers/promises";
import { StatusError } from "../../error.ts";
import type { Address } from "../address.ts";
import { nodeAt } from "../cluster/map.ts";
import type { Link } from "../link.ts";
import { command } from "../resp.ts";
import type { Block } from "./block.ts";
import type { LargeSending } from "./pipeline.ts";
import { type SentCommand, sentCommand } from "./sent-command.ts";

/** How long a command may be sent to and fro while its slot is on the move. */
const PATIENCE_MS = 10_000;
/** Before the same node is asked again. */
const PAUSE_MS = 20;
/** How long a node may take for one command; a large value takes it about a second. */
const REPLY_TIMEOUT_MS = 30_000;

const asking = command(["ASKING"]);

const nobodyListens: LargeSending = { begun: () => undefined, moved: () => undefined };

/** Where an error reply sends a command; undefined: it is no such reply. */
export interface Direction {
  kind: "MOVED" | "ASK" | "TRYAGAIN";
  slot: number;
  node: Address;
}

/** Reads `MOVED 3999 10.0.0.7:6381`, `ASK …` (which may name no host: the same one) or `TRYAGAIN …`, as `from` has said it. */
export function directionOf(text: string, from: Address): Direction | undefined {
  if (text.startsWith("TRYAGAIN")) return { kind: "TRYAGAIN", slot: -1, node: from };
  const [, kind, slot, host = "", port] = /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec(text) ?? [];
  if (kind !== "MOVED" && kind !== "ASK") return undefined;
  return { kind, slot: Number(slot), node: nodeAt(from, host.replace(/^\[(.*)\]$/, "$1"), Number(port)) };
}

export interface RedirectorOptions {
  /** A connection to a node, fenced. */
  openLink(node: Address): Promise<Link>;
  /** Sends the pieces of a command that its block does not hold. */
  sendLarge(link: Link, block: Block, sending: LargeSending): Promise<void>;
  /** A slot is there for good: what is still to be sent should go there. Throws if that cannot be. */
  moved(slot: number, node: Address): Promise<void>;
  /** What any other error reply means. */
  failure(node: Address, kind: number, text: string): StatusError;
  /** The command was answered with OK. */
  done(block: Block): void;
  failed(reason: unknown): void;
}

/**
 * Sends commands again whose slot is at another node, or on its way to one. One after the other, over connections of its
 * own: they are few, as whatever comes later goes to the right node at once. Their blocks are kept until then, so that
 * the load's memory bounds these too.
 */
export class Redirector {
  readonly #options: RedirectorOptions;
  readonly #signal: AbortSignal;
  readonly #queue: { block: Block; command: number; direction: Direction }[] = [];
  readonly #links = new Map<string, { node: Address; link: Link }>();
  #working: Promise<void> | undefined;

  constructor(options: RedirectorOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** The nodes that it is connected to. */
  get nodes(): Address[] {
    return [...this.#links.values()].map(({ node }) => node);
  }

  add(block: Block, command: number, direction: Direction): void {
    this.#queue.push({ block, command, direction });
    this.#working ??= this.#work();
  }

  async close(): Promise<void> {
    for (const { link } of this.#links.values()) link.close();
    await this.#working;
    for (const { link } of this.#links.values()) link.close();
  }

  async #work(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#follow(next.block, sentCommand(next.block, next.command), next.direction);
        this.#options.done(next.block);
      }
      this.#working = undefined;
    } catch (error) {
      this.#options.failed(error);
    }
  }

  async #follow(block: Block, sent: SentCommand, first: Direction): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    let isAsked = false;
    for (let direction = first; ; ) {
      const { kind, slot, node } = direction;
      if (kind === "MOVED") await this.#options.moved(slot, node);
      if (kind !== "TRYAGAIN") isAsked = kind === "ASK";
      if (direction !== first) await sleep(PAUSE_MS, undefined, { signal: this.#signal });
      const reply = await this.#send(node, block, sent, isAsked);
      if (!reply.startsWith("-")) return;
      const next = directionOf(reply.slice(1), node);
      if (next === undefined) throw this.#options.failure(node, sent.kind, reply.slice(1));
      if (performance.now() > end) {
        const message = `${node.endpoint} and other nodes send commands for slot ${slot} to each other: see CLUSTER NODES`;
        throw new StatusError("UNAVAILABLE", message);
      }
      direction = next;
    }
  }

  async #send(node: Address, block: Block, { bytes }: SentCommand, isAsked: boolean): Promise<string> {
    const link = await this.#linkTo(node);
    if (isAsked) {
      await link.write(asking);
      await link.readLine(REPLY_TIMEOUT_MS);
    }
    if (block.large === undefined) await link.write(bytes);
    else await this.#options.sendLarge(link, block, nobodyListens);
    return await link.readLine(REPLY_TIMEOUT_MS);
  }

  async #linkTo(node: Address): Promise<Link> {
    const known = this.#links.get(node.endpoint);
    if (known !== undefined) return known.link;
    const link = await this.#options.openLink(node);
    this.#links.set(node.endpoint, { node, link });
    return link;
  }
}
