import type { IncomingMessage, Server as HttpServer } from 'node:http';
import type { Duplex } from 'node:stream';
import type { PathPattern } from '../protocol/path-pattern.js';
import type { IdleSockets } from './idle-sockets.js';
import { checkSiblings, markListener, patternOf, patternsOn } from './sibling-paths.js';
import type { UpgradeGate } from './upgrade-gate.js';
import { OtherListeners } from './other-listeners.js';
import { notHere } from './refusal.js';
import type { Refusals } from './refusals.js';
import { pathOf } from './upgrade-path.js';

/** Listens for upgrades beside other listeners on the same HTTP server. */
export class UpgradeListener {
  /** Listeners whose paths are known. */
  readonly #known = new Map<unknown, (path: string) => boolean>();
  #attached: { httpServer: HttpServer; gate: UpgradeGate; idle: IdleSockets } | undefined;

  readonly #others: OtherListeners;

  constructor(
    private readonly path: PathPattern,
    private readonly refusals: Refusals,
  ) {
    this.#others = new OtherListeners(path.path);
    markListener(this.#onUpgrade, path);
  }

  /** Adds another listener. `ownsPath` says whether a path belongs to it. */
  know(listener: unknown, ownsPath: (path: string) => boolean): void {
    this.#known.set(listener, ownsPath);
  }

  /** @throws {InvalidStateError} when another server of ours has the same path on the HTTP server */
  check(httpServer: HttpServer): void {
    checkSiblings(httpServer, this.path);
  }

  attach(httpServer: HttpServer, gate: UpgradeGate, idle: IdleSockets): void {
    this.#attached = { httpServer, gate, idle };
    httpServer.on('upgrade', this.#onUpgrade);
    this.#others.attach(httpServer);
  }

  /**
   * Accepts no more upgrades. They are answered with 503 until `detach()`. Without a listener, Node would pass them to the
   * application as requests, and its 404 would tell a client never to reconnect.
   */
  close(): void {
    this.#attached?.gate.stop();
  }

  detach(): void {
    this.#attached?.httpServer.off('upgrade', this.#onUpgrade);
    this.#others.detach();
    this.#attached = undefined;
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    this.#attached?.idle.upgraded(socket);
    const path = pathOf(request);
    if (this.path.matches(path) && !this.#isElsewhere(path)) {
      this.#attached?.gate.handle(request, socket, head, () => this.#others.interfered());
    } else if (this.#isUnowned(path)) this.#refuseUnowned(request, socket);
  };

  /** There is no other listener, so nobody else will answer. */
  #refuseUnowned(request: IncomingMessage, socket: Duplex): void {
    socket.on('error', () => socket.destroy());
    this.refusals.refuse(request, socket, notHere(this.path.path));
  }

  /** A path that another listener has in full belongs to it, even if ours matches by a parameter. */
  #isElsewhere(path: string): boolean {
    const siblings = this.#attached && !this.path.isExact ? patternsOn(this.#attached.httpServer) : [];
    if (siblings.some((sibling) => sibling.isExact && sibling.matches(path))) return true;
    for (const [listener, ownsPath] of this.#known) {
      if (ownsPath(path) && this.#attached?.httpServer.listeners('upgrade').includes(listener as () => void))
        return true;
    }
    return false;
  }

  /** True when all listeners are known and none has the path, so that nobody would answer. */
  #isUnowned(path: string): boolean {
    const listeners = this.#attached?.httpServer.listeners('upgrade') ?? [];
    if (listeners.find((listener) => patternOf(listener)) !== this.#onUpgrade) return false; // the first of ours answers
    return listeners.every((listener) => {
      const sibling = patternOf(listener);
      if (sibling) return !sibling.matches(path);
      const owns = this.#known.get(listener);
      return owns !== undefined && !owns(path);
    });
  }
}
