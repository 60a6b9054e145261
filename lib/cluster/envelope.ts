import type { Audience } from '../protocol/delivery.js';
import { isText } from './bus-input.js';

/** What stands before the frame of a delivery on the bus. */
export interface Header {
  /** The node that published. */
  nodeId: string;
  /** Counts the publications of this node on this channel, from 1. */
  sequence: number;
  /** Milliseconds since the epoch, by the clock of Redis; 0 where the publisher doesn't know it. */
  sentAt: number;
  /** Whom it is for, where the channel alone doesn't say it. */
  audience?: Audience | undefined;
  except?: readonly string[] | undefined;
  /** May be left out for a socket that is behind. */
  isVolatile?: boolean | undefined;
  conflateKey?: string | undefined;
  /** Whose numbers these are: the id that the node had first, where that is another one. */
  origin?: string | undefined;
  /** The same in every envelope of a delivery that goes out on several channels. */
  copyId?: number | undefined;
}

/** The layout of the header. A node drops and counts what it doesn't know. */
const VERSION = 1;
const NEWLINE = 10;
/** A delivery names each client it is for, or isn't: those of the largest node fit many times over. */
const MAX_HEADER_BYTES = 4 * 1024 * 1024;

/** One JSON line, then what goes to the sockets, untouched. Text stays text: Redis gets a turn's envelopes as one. */
export function seal(header: Header, frame: Uint8Array): Buffer;
export function seal(header: Header, frame: string | Uint8Array): string | Buffer;
export function seal(header: Header, frame: string | Uint8Array): string | Buffer {
  const { nodeId, sequence, sentAt, audience, except, copyId, isVolatile, conflateKey, origin } = header;
  const flags = conflateKey ?? (isVolatile ? 1 : 0);
  const fields = [VERSION, nodeId, sequence, sentAt, audience ?? 0, except ?? 0, copyId ?? 0, flags];
  if (origin !== undefined) fields.push(origin);
  const line = JSON.stringify(fields);
  return typeof frame === 'string' ? `${line}\n${frame}` : Buffer.concat([Buffer.from(`${line}\n`), frame]);
}

/** Undefined for anything that isn't an envelope of this version. */
export function open(payload: Buffer): { header: Header; frame: Buffer } | undefined {
  const end = payload.indexOf(NEWLINE);
  if (end < 0 || end > MAX_HEADER_BYTES) return undefined;
  const header = readHeader(payload.toString('utf8', 0, end));
  return header && { header, frame: payload.subarray(end + 1) };
}

function readHeader(line: string): Header | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(fields)) return undefined;
  const [version, nodeId, sequence, sentAt, audience, except, copyId, flags, origin] = fields as unknown[];
  if (version !== VERSION || !isText(nodeId) || !Number.isSafeInteger(sequence)) return undefined;
  if (!Number.isFinite(sentAt) || !isAudience(audience) || !isExcept(except) || typeof copyId !== 'number')
    return undefined;
  return {
    nodeId,
    sequence: sequence as number,
    sentAt: sentAt as number,
    audience: audience === 0 ? undefined : audience,
    except: except === 0 ? undefined : except,
    copyId: copyId === 0 ? undefined : copyId,
    isVolatile: flags === 1 ? true : undefined,
    conflateKey: isText(flags) ? flags : undefined,
    origin: isText(origin) ? origin : undefined,
  };
}

const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText);

const isExcept = (value: unknown): value is readonly string[] | 0 => value === 0 || isTexts(value);

function isAudience(value: unknown): value is Audience | 0 {
  if (value === 0) return true;
  const { kind, clientIds, roomNames } = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  return (kind === 'clients' && isTexts(clientIds)) || (kind === 'rooms' && isTexts(roomNames));
}
