import { StatusError } from "../../error.ts";
import type { PassingRecord } from "../../rdb/passing.ts";
import type { Address } from "../address.ts";
import { slotOf } from "../cluster/slot.ts";
import { type SlotMap, slotMapOf } from "../cluster/slot-map.ts";
import type { Link } from "../link.ts";
import { type Block, BlockPool } from "./block.ts";
import { Gate } from "./gate.ts";
import { Pipeline } from "./pipeline.ts";
import { directionOf, Redirector, type RedirectorOptions } from "./redirector.ts";
import { sentCommand } from "./sent-command.ts";
import type { Span } from "./watermark.ts";

export interface RouteOptions extends Pick<RedirectorOptions, "openLink" | "sendLarge" | "failure"> {
  /** Of a cluster: by slot, the place of its primary among the nodes. */
  owners: Uint16Array | undefined;
  silenceMs?: number | undefined;
}

/** The ways of a load: a connection to each primary, and to which of them a key belongs. Ends as a whole. */
export class Route {
  readonly pipelines: readonly Pipeline[];
  readonly pool: BlockPool;
  /** Aborted with the first thing that went wrong. */
  readonly over: AbortSignal;
  readonly #options: RouteOptions;
  readonly #gate = new Gate();
  readonly #failing = new AbortController();
  readonly #redirector: Redirector;
  #owners: Uint16Array | undefined;

  constructor(nodes: readonly { address: Address; link: Link }[], options: RouteOptions, signal: AbortSignal) {
    this.#options = options;
    this.#owners = options.owners;
    this.over = AbortSignal.any([signal, this.#failing.signal]);
    this.pool = new BlockPool(nodes.length, this.#gate);
    const failed = (reason: unknown) => this.#fail(reason);
    const done = (block: Block) => {
      block.redirected--;
      this.#settle(block);
    };
    const moved = (slot: number, node: Address) => this.#moved(slot, node);
    this.#redirector = new Redirector({ ...options, done, failed, moved }, this.over);
    this.pipelines = nodes.map(({ address, link }) => {
      const { sendLarge, silenceMs } = options;
      const refused = (block: Block, command: number, text: string) => this.#refused(address, block, command, text);
      const answered = (block: Block) => {
        block.isAnswered = true;
        this.#settle(block);
      };
      return new Pipeline(address, link, { sendLarge, refused, answered, failed, silenceMs });
    });
    signal.addEventListener("abort", () => failed(signal.reason), { once: true, signal: this.#failing.signal });
  }

  /** Where a key belongs. Each key passes here: the cast spares it a check that `owners` cannot fail. */
  to({ keyBytes, keyFrom, keyTo }: PassingRecord): Pipeline {
    const owners = this.#owners;
    return this.pipelines[owners === undefined ? 0 : (owners[slotOf(keyBytes, keyFrom, keyTo)] as number)] as Pipeline;
  }

  /** Sends what was filled in for whichever node; with `but`, only what was begun in another span than this. */
  seal(but?: Span): void {
    for (const pipeline of this.pipelines) if (but === undefined || pipeline.block?.span !== but) pipeline.seal();
  }

  /** Resolves once everything was answered. */
  async drained(): Promise<void> {
    this.seal();
    await this.pool.drained();
  }

  /** The nodes that may still be at work at something that was sent to them. */
  get unfinished(): Address[] {
    const owing = this.pipelines.filter(({ isOwedReplies }) => isOwedReplies).map(({ address }) => address);
    return [...owing, ...this.#redirector.nodes];
  }

  /** Nothing of it goes on once this resolves. */
  async close(): Promise<void> {
    this.#fail(new StatusError("CANCELLED", "the load is over"));
    await Promise.all([...this.pipelines.map((pipeline) => pipeline.close()), this.#redirector.close()]);
  }

  #fail(reason: unknown): void {
    if (this.#failing.signal.aborted) return;
    this.#failing.abort(reason);
    this.#gate.fail(reason);
  }

  #settle(block: Block): void {
    if (block.isAnswered && block.redirected === 0) this.pool.giveBack(block);
  }

  #refused(from: Address, block: Block, command: number, text: string): void {
    const direction = this.#owners && directionOf(text, from);
    if (direction === undefined) throw this.#options.failure(from, sentCommand(block, command).kind, text);
    block.redirected++;
    this.#redirector.add(block, command, direction);
  }

  /** Whoever sends a slot elsewhere knows the newest slots; they may be at a primary that this load has no connection to. */
  async #moved(slot: number, node: Address): Promise<void> {
    const owner = this.#owners?.[slot];
    if (owner !== undefined && this.pipelines[owner]?.address.endpoint === node.endpoint) return;
    this.#take(await slotMapOf(node, this.over));
  }

  #take({ primaries, owners }: SlotMap): void {
    const places = primaries.map(({ endpoint }) =>
      this.pipelines.findIndex(({ address }) => address.endpoint === endpoint),
    );
    const unknown = primaries[places.indexOf(-1)];
    if (unknown !== undefined) {
      const message = `${unknown.endpoint} has become a primary while the cluster was loaded: the load begins anew with it`;
      throw new StatusError("UNAVAILABLE", message);
    }
    this.#owners = owners.map((owner) => places[owner] ?? 0);
  }
}
