import type { Audience } from '../protocol/delivery.js';
import { isText } from './bus-input.js';

/** Precedes the frame of a delivery on the bus. */
export interface Header {
  nodeId: string;
  /** The number of this publication on this channel, from 1 for each node. */
  sequence: number;
  /** In ms since the epoch, by the clock of Redis. 0 if the publisher doesn't know it. */
  sentAt: number;
  /** The receivers, if the channel alone doesn't name them. */
  audience?: Audience | undefined;
  except?: readonly string[] | undefined;
  /** May be dropped for a socket that is behind. */
  isVolatile?: boolean | undefined;
  conflateKey?: string | undefined;
  /** The node's first id, if it has another one now: its numbers go on under that. */
  origin?: string | undefined;
  /** The same in every envelope of a delivery for several rooms. Each of these envelopes names them all. */
  copyId?: number | undefined;
  /** The same in every part of a delivery for more rooms than an envelope names. */
  partsId?: number | undefined;
  /** How long ago this node's first message on this channel was, in ms. Undefined for that one, and after a while. */
  begunMsAgo?: number | undefined;
}

/** The version of the header's layout. A node drops other versions, and counts them. */
const VERSION = 1;
const NEWLINE = 10;
/** More isn't one of ours: `MAX_EXCEPT_BYTES`, `MAX_ROOMS` and `MAX_CLIENT_BYTES` keep deliveries below. */
const MAX_HEADER_BYTES = 4 * 1024 * 1024;

/** One line of JSON, then the frame. Text stays text, so that Redis gets all envelopes of a turn as one string. */
export function seal(header: Header, frame: Uint8Array): Buffer;
export function seal(header: Header, frame: string | Uint8Array): string | Buffer;
export function seal(header: Header, frame: string | Uint8Array): string | Buffer {
  const { nodeId, sequence, sentAt, audience, except, copyId, isVolatile, conflateKey } = header;
  const { origin, partsId, begunMsAgo } = header;
  const flags = conflateKey ?? (isVolatile ? 1 : 0);
  const fields = [VERSION, nodeId, sequence, sentAt, audience ?? 0, except ?? 0, copyId ?? 0, flags];
  if (begunMsAgo !== undefined) fields.push(origin ?? 0, partsId ?? 0, begunMsAgo);
  else if (partsId !== undefined) fields.push(origin ?? 0, partsId);
  else if (origin !== undefined) fields.push(origin);
  const line = JSON.stringify(fields);
  return typeof frame === 'string' ? `${line}\n${frame}` : Buffer.concat([Buffer.from(`${line}\n`), frame]);
}

/** @returns undefined for anything that isn't an envelope of this version */
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
  const [version, nodeId, sequence, sentAt, audience, except, copyId, flags, ...more] = fields as unknown[];
  const [origin, partsId, begunMsAgo] = more;
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
    partsId: Number.isSafeInteger(partsId) && partsId !== 0 ? (partsId as number) : undefined,
    begunMsAgo: Number.isSafeInteger(begunMsAgo) ? (begunMsAgo as number) : undefined,
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
