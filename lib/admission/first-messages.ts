import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { type Authentication, readToken } from '../auth/authentication.js';
import { AuthenticationError, type Identity } from '../auth/identity.js';
import { redactError } from '../auth/tokens.js';
import type { Clock } from '../clock.js';
import { guarded } from '../guarded.js';
import { MessageLimits, type MessageLimitsOptions, type LimitedPeer } from '../limits/message-limits.js';
import { CloseCode, fitReason } from '../protocol/close-codes.js';
import { decodeFrame, encodeReply } from '../protocol/codec.js';
import { ErrorCode } from '../protocol/error-codes.js';
import { describeError } from '../routing/describe-error.js';
import { encodeErrorFrame } from '../protocol/error-frame.js';
import { cutAfterGrace, isHeardAfter } from '../connection/closing.js';
import type { UpgradeRequest } from '../auth/upgrade-request.js';
import type { ServerSocket } from '../connection/server-socket.js';
import { TimeoutQueue } from '../connection/timeout-queue.js';

export interface FirstMessagesHost {
  readonly timeoutMs: number;
  readonly maxDepth: number;
  readonly maxPayload: number;
  readonly limits: Pick<MessageLimitsOptions, 'messages'>;
  readonly authentication: Authentication | undefined;
  readonly clock: Clock;
  /** Makes the socket a client. @returns false when it was refused and is being closed */
  admit(ws: ServerSocket, socket: Duplex, request: UpgradeRequest, identity: Identity): boolean;
  failed(error: unknown, place: string): void;
}

type Message = [data: Buffer, isBinary: boolean];

/** Bytes that a kept message costs in addition to its own. */
const OVERHEAD_BYTES = 64;
/** Bytes that may wait in addition to one message of `messages.maxPayload`: one read of the socket. */
const READ_BYTES = 65_536;

/** Messages after a token that is still being checked. */
interface Behind {
  isChecking: boolean;
  messages: Message[];
  bytes: number;
}

/** A connection of which only the address is known. */
interface Newcomer extends LimitedPeer {
  readonly ws: ServerSocket;
}

const LATE = new AuthenticationError(401, 'No token came in time.');
const NOT_FIRST = new AuthenticationError(401, 'The first message must be system/authenticate with a token.');

/**
 * Connections that authenticate by their first message: `system/authenticate` with a token. Any other message and an invalid
 * token close them (4001). Messages after a token wait until it is checked, within a limit of bytes. When a socket is being
 * closed, its messages are dropped. The rest of the server doesn't see these connections before they are authenticated.
 */
export class FirstMessages {
  readonly #waiting = new Map<ServerSocket, Behind>();
  readonly #deadlines: TimeoutQueue<ServerSocket>;
  readonly #limits: MessageLimits<Newcomer>;

  constructor(private readonly host: FirstMessagesHost) {
    const { limits, maxPayload, clock } = host;
    const close = ({ ws }: Newcomer, code: number, reason: string): void => {
      if (this.#waiting.has(ws)) this.#close(ws, code, reason);
    };
    this.#limits = new MessageLimits<Newcomer>(
      { messages: limits.messages, perUser: false, perIp: false },
      { clock, maxPayload, userKeyOf: () => undefined, isIn: () => false, close },
    );
    this.#deadlines = new TimeoutQueue(
      clock,
      host.timeoutMs,
      guarded('system/authenticate', host.failed, (ws) => this.#refuse(ws, LATE)),
    );
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(ws: ServerSocket, socket: Duplex, request: UpgradeRequest): void {
    const listen = (data: unknown, isBinary: boolean): void => {
      const behind = this.#waiting.get(ws);
      if (!behind) return; // the socket is being closed
      if (behind.isChecking) return this.#keep(ws, behind, [data as Buffer, isBinary]);
      behind.isChecking = true;
      ws.pause(); // only what was read already may follow
      this.#identify(ws, data as Buffer)
        .then((admission) => {
          ws.off('message', listen).off('ping', count).off('pong', count);
          if (!admission || !this.#waiting.has(ws)) return;
          ws.resume();
          this.#forget(ws);
          if (!this.host.admit(ws, socket, request, admission.identity)) return;
          ws.off('error', cut); // only after another listener was added: without one, a broken frame would end the process
          ws.outbox?.pushText(admission.reply);
          for (const message of behind.messages) ws.emit('message', ...message);
        })
        .catch((error: unknown) => {
          this.host.failed(error, 'system/authenticate');
          this.#close(ws, CloseCode.Internal, 'Something went wrong on the server.');
        });
    };
    const cut = (): void => cutAfterGrace(ws, this.host.clock);
    const newcomer: Newcomer = { ws, client: request, meter: undefined, hasSpoken: false, send: () => undefined };
    const count = (payload: Buffer): void => this.#limits.countControl(newcomer, payload);
    ws.on('message', listen).on('error', cut).on('ping', count).on('pong', count);
    ws.once('close', () => this.#drop(ws));
    this.#waiting.set(ws, { isChecking: false, messages: [], bytes: 0 });
    this.#deadlines.add(ws);
  }

  /** Closes all of them. */
  stop(): void {
    for (const ws of this.#waiting.keys()) this.#close(ws, CloseCode.Restarting, 'server restarting');
    this.#deadlines.stop();
  }

  #keep(ws: ServerSocket, behind: Behind, message: Message): void {
    behind.bytes += message[0].length + OVERHEAD_BYTES;
    if (behind.bytes <= this.host.maxPayload + READ_BYTES) behind.messages.push(message);
    else this.#close(ws, CloseCode.Policy, 'too much after the token');
  }

  async #identify(ws: ServerSocket, data: Buffer): Promise<{ identity: Identity; reply: string } | undefined> {
    const frame = decodeFrame(data.toString(), this.host.maxDepth);
    const isRequest = frame.kind === 'message';
    const id = isRequest || frame.kind === 'bad' ? frame.id : undefined;
    let token = '';
    try {
      if (!isRequest || frame.type !== 'system' || frame.action !== 'authenticate') throw NOT_FIRST;
      token = readToken(frame.data);
      const { authentication } = this.host;
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
    if (ws.readyState === ws.OPEN) ws.send(encodeErrorFrame(described, { type: 'system', action: 'authenticate', id }));
    const isOurs = code === ErrorCode.Unavailable || code === ErrorCode.Internal;
    this.#close(ws, isOurs ? CloseCode.TryLater : CloseCode.Unauthenticated, described.error);
  }

  #close(ws: WebSocket, code: number, reason: string): void {
    this.#drop(ws as ServerSocket);
    ws.close(code, fitReason(reason));
    if (isHeardAfter(code)) ws.resume();
    else ws.pause();
    cutAfterGrace(ws, this.host.clock);
  }

  /** The check of the token may still be running. The messages after it are dropped. */
  #drop(ws: ServerSocket): void {
    const behind = this.#waiting.get(ws);
    if (behind) behind.messages = [];
    this.#forget(ws);
  }

  #forget(ws: ServerSocket): void {
    this.#waiting.delete(ws);
    this.#deadlines.delete(ws);
  }
}
