import type { LoadMark, LoadOptions, LoadResult, LoadSource } from "../../pipeline/ports.ts";
import { passRecords } from "../../rdb/pass.ts";
import { markAt, stretchLeft } from "../../rdb/stretch.ts";
import type { Address } from "../address.ts";
import { dropUnfinished, type FencedNode, fence } from "../fence.ts";
import { Link } from "../link.ts";
import { sideBySide } from "../side-by-side.ts";
import type { Block } from "./block.ts";
import { restoreInPieces } from "./large-record.ts";
import { loadFailure } from "./load-failure.ts";
import type { LargeSending } from "./pipeline.ts";
import { Route } from "./route.ts";
import { type LoadTarget, requireFit, serverAt } from "./target.ts";
import { Turns } from "./turns.ts";
import { Watermark } from "./watermark.ts";
import { LoadWriter } from "./writer.ts";

/** Replies are 5 bytes each: small slabs hold thousands. With many nodes each gets smaller ones. */
const SLAB_BYTES = 128 * 1024;
const SMALL_SLAB_BYTES = 16 * 1024;
const MANY_NODES = 8;

/** How many large values are read at once, each for another node: every reading has buffers of its own. */
const LARGE_AT_ONCE = 4;

/** How far in the file the marks are apart that a later attempt can go on from. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024;

/**
 * Writes every record of the file, or of its stretch, to whom it belongs, over one named connection to each primary,
 * pipelined. Memory is bounded by the blocks that all of them share, whatever a value's size: what the reader does not
 * hold is read a second time, by range. When it ends early, what the servers have carried out stays there, and the rest
 * is dropped.
 */
export async function load(
  target: LoadTarget,
  source: LoadSource,
  options: LoadOptions,
  signal: AbortSignal,
  { silenceMs }: { silenceMs?: number } = {},
): Promise<LoadResult> {
  requireFit(target, source);
  // Servers that were started anew, or promoted, may lack what others had answered.
  const from = options.from?.runId === target.server.runId ? options.from : undefined;
  const endOffset = source.stretch?.endOffset ?? source.facts.sizeBytes;
  if (from !== undefined && from.offset >= endOffset) return from.result;
  const nodes = await openFenced(target, options, signal);
  const turns = new Turns(LARGE_AT_ONCE);
  const route = new Route(
    nodes,
    {
      owners: target.owners,
      failure: (node, kind, text) => loadFailure(node, serverAt(target, node), source.facts, kind, text),
      openLink: (node) => openNode(node, options, route.over),
      sendLarge: (link, block, sending) => turns.take(() => sendLarge(link, block, source, route.over, sending)),
      silenceMs,
    },
    signal,
  );
  try {
    return await writeAll(route, source, from, endOffset, target.server.runId, options);
  } catch (error) {
    const reason: unknown = route.over.aborted ? route.over.reason : error;
    const { unfinished } = route;
    await route.close();
    await sideBySide(unfinished, (node) => dropUnfinished(node, options));
    throw signal.aborted ? signal.reason : reason;
  } finally {
    await route.close();
  }
}

/** One after the other, in the order of the file; answers once everything was answered. */
async function writeAll(
  route: Route,
  source: LoadSource,
  from: LoadMark | undefined,
  endOffset: number,
  runId: string,
  options: LoadOptions,
): Promise<LoadResult> {
  const watermark = new Watermark((mark) => options.onProgress?.(mark));
  const writer = new LoadWriter(route, watermark, source, options, from?.result);
  const stretch = stretchLeft(source.facts, source.stretch, from);
  const range = {
    start: stretch?.startOffset ?? 0,
    ...(stretch?.endOffset !== undefined && { end: stretch.endOffset }),
  };
  await passRecords(source.read(range, route.over), writer, {
    stretch,
    checkpointBytes: CHECKPOINT_BYTES,
    onCheckpoint(checkpoint) {
      // A node that few keys belong to must not hold up the marks with a block that never gets full.
      route.seal(watermark.span);
      watermark.close({ ...markAt(checkpoint), runId, result: structuredClone(writer.result) });
    },
    rest: () => route.pool.rest(),
  });
  await route.drained();
  const { result } = writer;
  options.onProgress?.({ offset: endOffset, database: 0, crc64: source.stretch?.crc64?.after ?? "", runId, result });
  return result;
}

async function sendLarge(
  link: Link,
  { bytes, at, large }: Block,
  source: LoadSource,
  signal: AbortSignal,
  { begun, moved }: LargeSending,
): Promise<void> {
  if (large === undefined) return;
  begun();
  const pieces = source.read({ start: large.start, end: large.end }, signal);
  await restoreInPieces(link, bytes.subarray(0, at), large, pieces, { magic: source.facts.magic, moved });
}

async function openFenced({ nodes }: LoadTarget, options: LoadOptions, signal: AbortSignal): Promise<FencedNode[]> {
  const slabBytes = nodes.length > MANY_NODES ? SMALL_SLAB_BYTES : SLAB_BYTES;
  const opened: FencedNode[] = [];
  try {
    const inOrder = await sideBySide(nodes, async ({ address }) => {
      const node = { address, link: await Link.open(address, signal, { slabBytes }) };
      opened.push(node);
      return node;
    });
    await fence(inOrder, options, signal);
    return inOrder;
  } catch (error) {
    for (const { link } of opened) link.close();
    throw error;
  }
}

/** One that was no primary when the load began, or a second connection for what was sent elsewhere. */
async function openNode(address: Address, options: LoadOptions, signal: AbortSignal): Promise<Link> {
  const link = await Link.open(address, signal, { slabBytes: SMALL_SLAB_BYTES });
  try {
    await fence([{ address, link }], options, signal);
    return link;
  } catch (error) {
    link.close();
    throw error;
  }
}
