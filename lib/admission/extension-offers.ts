import type { IncomingMessage } from 'node:http';
import * as library from 'ws';

type Offers = Record<string, object[] | undefined>;

/** `ws` exports both, but its types leave them out. */
const { extension, PerMessageDeflate } = library as unknown as {
  extension?: { parse(header: string): Offers };
  PerMessageDeflate?: {
    readonly extensionName: string;
    new (options: object): { accept(offers: object[]): object };
  };
};

/**
 * Removes offers of compression that can't be met, e.g. an offer with a smaller window than `serverMaxWindowBits`. The offer is
 * then declined (RFC 7692 section 5.1), and the connection isn't compressed. `ws` would refuse the whole handshake.
 */
export function declineUnfit(request: IncomingMessage, options: boolean | object): void {
  const header = request.headers['sec-websocket-extensions'];
  if (header === undefined || options === false || !extension || !PerMessageDeflate) return;
  const offers = offersIn(header, extension.parse)?.[PerMessageDeflate.extensionName];
  if (!offers) return;
  try {
    new PerMessageDeflate({ ...(typeof options === 'object' && options), isServer: true }).accept(offers);
  } catch {
    delete request.headers['sec-websocket-extensions']; // no offer fits
  }
}

/** @returns undefined for a malformed header: `ws` refuses it */
function offersIn(header: string, parse: (header: string) => Offers): Offers | undefined {
  try {
    return parse(header);
  } catch {
    return undefined;
  }
}
