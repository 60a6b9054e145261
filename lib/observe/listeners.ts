import { redactData } from '../auth/tokens.js';
import type { Subscribers } from '../cluster/subscribers.js';
import { NO_RESOURCES, type Resources } from '../resources.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import type { RouteCall } from '../routing/route-call.js';
import type { ErrorReport } from './error-report.js';

/** Calls the listeners of the application: `events.onMessage` and the subscribers of bus events. */
export class Listeners {
  #server: unknown;
  #resources = NO_RESOURCES;

  constructor(
    private readonly onMessage: ResolvedOptions['events']['onMessage'],
    private readonly subscribers: Subscribers,
    private readonly report: ErrorReport,
  ) {}

  /** The resources and the server that listeners are called with. */
  provide(server: unknown, resources: Resources): void {
    this.#server = server;
    this.#resources = resources;
  }

  /** Gets every message. Undefined if the application has no such listener. */
  get received(): ((call: RouteCall) => void) | undefined {
    const { onMessage } = this;
    if (!onMessage) return undefined;
    return ({ ws, clientId, type, action, data }) => {
      const message = { type, action, data: redactData(type, action, data) };
      this.report.contain('events.onMessage', () => onMessage({ ws, clientId, data: message, ...this.#resources }));
    };
  }

  event(channel: string, message: unknown): void {
    const event = { channel, message, webSocketServer: this.#server, ...this.#resources };
    this.report.contain(`subscribers of ${channel}`, () => this.subscribers.dispatch(event));
  }
}
