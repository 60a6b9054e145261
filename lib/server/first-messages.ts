import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { type Authentication, readToken } from '../auth/authentication.js';
import { AuthenticationError, type Identity } from '../auth/identity.js';
import { redactError } from '../auth/tokens.js';
import { CloseCode } from '../protocol/close-codes.js';
import { decodeFrame, encodeFrame, encodeReply } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { describeError, errorFrame } from '../routing/error-frame.js';
import { cutAfterGrace } from './connections.js';
import type { UpgradeRequest } from '../upgrade-request.js';
import type { ServerSocket } from './server-socket.js';
import { TimeoutQueue } from './timeout-queue.js';

export interface FirstMessagesHost {
  readonly timeoutMs: number;
  readonly maxDepth: number;
  authentication(): Authentication | undefined;
  /** The socket is a client from now on. @returns false when it was refused and is being closed */
  admit(ws: ServerSocket, socket: Duplex, request: UpgradeRequest, identity: Identity): boolean;
  failed(error: unknown, place: string): void;
}

type Message = [data: Buffer, isBinary: boolean];

const LATE = new AuthenticationError(401, 'No token came in time.');
const NOT_FIRST = new AuthenticationError(401, 'The first message must be system/authenticate with a token.');

/**
 * Sockets whose first message says who they are: `system/authenticate` with a token. Anything else, and a token that doesn't do,
 * closes them (4001); what comes behind a good one waits until it is checked. Nobody else knows of them before that.
 */
export class FirstMessages {
  readonly #waiting = new Set<ServerSocket>();
  readonly #deadlines: TimeoutQueue<ServerSocket>;

  constructor(private readonly host: FirstMessagesHost) {
    this.#deadlines = new TimeoutQueue(host.timeoutMs, (ws) => this.#refuse(ws, LATE));
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(ws: ServerSocket, socket: Duplex, request: UpgradeRequest): void {
    const behind: Message[] = [];
    let isFirst = true;
    const listen = (data: unknown, isBinary: boolean): void => {
      if (!isFirst) {
        behind.push([data as Buffer, isBinary]);
        return;
      }
      isFirst = false;
      ws.pause(); // at most what was read already comes behind
      void this.#identify(ws, data as Buffer).then((admission) => {
        ws.off('message', listen).off('error', cut);
        ws.resume();
        if (!admission || !this.#waiting.has(ws)) return;
        this.#forget(ws);
        if (!this.host.admit(ws, socket, request, admission.identity)) return;
        ws.outbox?.pushText(admission.reply);
        for (const message of behind) ws.emit('message', ...message);
      });
    };
    const cut = (): void => cutAfterGrace(ws);
    ws.on('message', listen).on('error', cut);
    ws.once('close', () => this.#forget(ws));
    this.#waiting.add(ws);
    this.#deadlines.add(ws);
  }

  /** Closes all of them. */
  stop(): void {
    for (const ws of this.#waiting) this.#close(ws, CloseCode.Restarting, 'server restarting');
    this.#deadlines.stop();
  }

  async #identify(ws: ServerSocket, data: Buffer): Promise<{ identity: Identity; reply: string } | undefined> {
    const frame = decodeFrame(data.toString(), this.host.maxDepth);
    const isRequest = frame.kind === 'message';
    const id = isRequest || frame.kind === 'bad' ? frame.id : undefined;
    let token = '';
    try {
      if (!isRequest || frame.type !== 'system' || frame.action !== 'authenticate') throw NOT_FIRST;
      token = readToken(frame.data);
      const authentication = this.host.authentication();
      if (!authentication) throw NOT_FIRST;
      const identity = await authentication.identify(token);
      const { user, expiresAt = null } = identity;
      const response = { success: true, data: { userId: user.userId, expiresAt } };
      return { identity, reply: encodeReply({ type: 'system', action: 'authenticate', id }, response) };
    } catch (error) {
      if (!describeError(error).isMeantForPeer) this.host.failed(redactError(error, [token]), 'system/authenticate');
      this.#refuse(ws, error, id);
      return undefined;
    }
  }

  #refuse(ws: ServerSocket, error: unknown, id?: string | number): void {
    const described = describeError(error);
    const { code } = described;
    if (ws.readyState === ws.OPEN)
      ws.send(encodeFrame(errorFrame(described, { type: 'system', action: 'authenticate', id })));
    const isOurs = code === ErrorCode.Unavailable || code === ErrorCode.Internal;
    this.#close(ws, isOurs ? CloseCode.TryLater : CloseCode.Unauthenticated, described.error);
  }

  #close(ws: WebSocket, code: number, reason: string): void {
    this.#forget(ws as ServerSocket);
    ws.close(code, reason);
    ws.resume();
    cutAfterGrace(ws);
  }

  #forget(ws: ServerSocket): void {
    this.#waiting.delete(ws);
    this.#deadlines.delete(ws);
  }
}
