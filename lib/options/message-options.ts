import type { PerMessageDeflateOptions } from 'ws';
import { DEEPEST } from '../protocol/codec.js';
import type { Check } from '../protocol/check.js';
import { BYTES, COUNT, isObject, TIME } from './checks.js';
import type { Table } from './option-table.js';

/** How messages of clients are received and handled. */
export interface MessageOptions {
  /** Maximum size of one message, unpacked. A longer one closes the connection with 1009. @default 65_536 */
  maxPayload?: number;
  /** Maximum number of fragments of one message. More close the connection with 1008. @default 128, or `maxPayload` / 512 if that is more */
  maxFragments?: number;
  /**
   * Maximum number of pieces in which an incomplete frame may have arrived. More close the connection with 1008.
   * @default 4096, or `maxPayload` / 256 if that is more
   */
  maxBufferedChunks?: number;
  /**
   * Compression of messages: true, or the options of `ws`. It costs memory and time for every connection, and a broadcast is
   * compressed once for each client. @default false
   */
  perMessageDeflate?: boolean | PerMessageDeflateOptions;
  /** Levels of nested JSON, at most 1000. Deeper JSON is a bad frame. @default 32 */
  maxDepth?: number;
  /** Messages of one connection that are handled at the same time. 1 keeps their order. @default 1 */
  concurrency?: number;
  /** Messages of one connection that may wait. With more, the server stops reading from the connection until they are handled. @default 64 */
  maxQueued?: number;
  /** Bytes of messages of one connection that may wait. With more, the server stops reading from the connection. @default 131_072 */
  maxQueuedBytes?: number;
  /**
   * Bytes of messages that may wait in the whole process. Above it, the connections with the most waiting bytes are closed with 4100.
   * @default 67_108_864
   */
  processMaxQueuedBytes?: number;
  /** Milliseconds from the arrival of a request to its answer. After that, the answer is `TIMEOUT`. @default 10_000 */
  handlerTimeoutMs?: number;
  /** Open streams of one connection. A further one fails with `STREAM_LIMIT`. @default 32 */
  maxStreams?: number;
  /** Number of bad frames in a row that closes the connection with 4004. @default 10 */
  maxBadFrames?: number;
}

const DEFLATE_FIELDS: ReadonlySet<string> = new Set<keyof PerMessageDeflateOptions>([
  'serverNoContextTakeover',
  'clientNoContextTakeover',
  'serverMaxWindowBits',
  'clientMaxWindowBits',
  'zlibDeflateOptions',
  'zlibInflateOptions',
  'threshold',
  'concurrencyLimit',
]);

const DEFLATE: Check = {
  holds: (value) =>
    typeof value === 'boolean' || (isObject(value) && Object.keys(value).every((name) => DEFLATE_FIELDS.has(name))),
  must: `true, false or the options of ws: ${[...DEFLATE_FIELDS].join(', ')}`,
};

const DEPTH: Check = {
  holds: (value) => COUNT.holds(value) && (value as number) <= DEEPEST,
  must: `a whole number from 1 to ${DEEPEST}: what is deeper could not be written again`,
};

/**
 * The limits grow with `maxPayload`: fragments of 512 bytes and TCP segments of 256 bytes (the minimum is 536) are always allowed.
 * Otherwise a client that sends in parts of 4 KiB would reach these limits long before `maxPayload`.
 */
const MOST_PARTS = { fragments: 512, chunks: 256 };

export const MESSAGES = {
  maxPayload: { default: 65_536, check: BYTES },
  maxFragments: {
    default: 128,
    fit: ({ maxPayload, maxFragments }) => Math.max(maxFragments, Math.ceil(maxPayload / MOST_PARTS.fragments)),
    check: COUNT,
    unit: 'fragments',
  },
  maxBufferedChunks: {
    default: 4_096,
    fit: ({ maxPayload, maxBufferedChunks }) => Math.max(maxBufferedChunks, Math.ceil(maxPayload / MOST_PARTS.chunks)),
    check: COUNT,
    unit: 'pieces',
  },
  perMessageDeflate: { default: false, check: DEFLATE },
  maxDepth: { default: 32, check: DEPTH, unit: 'levels' },
  concurrency: { default: 1, check: COUNT, unit: 'messages' },
  maxQueued: { default: 64, check: COUNT, unit: 'messages' },
  maxQueuedBytes: { default: 131_072, check: BYTES },
  processMaxQueuedBytes: { default: 67_108_864, check: BYTES },
  handlerTimeoutMs: { default: 10_000, check: TIME },
  maxStreams: { default: 32, check: COUNT, unit: 'streams' },
  maxBadFrames: { default: 10, check: COUNT, unit: 'frames' },
} satisfies Table<MessageOptions>;
