import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import proxyAddr from '@fastify/proxy-addr';

/** Which proxies are trusted: none, all, a number of them, or those with these addresses. */
export type TrustProxy = boolean | number | string | string[];

type Trust = (address: string, hop: number) => boolean;

/** @throws {TypeError} for a text that is not an address, a range or the name of a range */
export function trustOf(trustProxy: TrustProxy): Trust {
  if (typeof trustProxy === 'boolean') return () => trustProxy;
  if (typeof trustProxy === 'number') return (_address, hop) => hop < trustProxy;
  const list = typeof trustProxy === 'string' ? trustProxy.split(',').map((entry) => entry.trim()) : trustProxy;
  return proxyAddr.compile(list);
}

/**
 * Reads the address of a client: that of the socket, or the one that trusted proxies state. Undefined for a socket without an
 * address (a Unix socket, or one that is closed).
 */
export function addressReader(trustProxy: TrustProxy): (request: IncomingMessage) => string | undefined {
  if (trustProxy === false || trustProxy === 0) return ownAddress;
  const trust = trustOf(trustProxy);
  return (request) => {
    const found = plain(proxyAddr(request, trust));
    return found !== undefined && isIP(found) ? found : ownAddress(request); // a proxy may state anything, e.g. 'unknown'
  };
}

/**
 * Reads the host that the browser connects to: `Host`, or `X-Forwarded-Host` of a trusted proxy. Each proxy appends to the
 * list, so the entry of the farthest trusted proxy counts.
 */
export function hostReader(trustProxy: TrustProxy): (request: IncomingMessage) => string | undefined {
  if (trustProxy === false || trustProxy === 0) return ownHost;
  const trust = trustOf(trustProxy);
  return (request) => {
    const said = [request.headers['x-forwarded-host'] ?? []].flat().flatMap((list) => list.split(','));
    const hosts = said.map((host) => host.trim()).filter(Boolean);
    if (hosts.length === 0) return ownHost(request);
    if (trustProxy === true) return hosts[0];
    const addresses = proxyAddr.all(request);
    const untrusted = addresses.findIndex((address, hop) => !trust(address, hop));
    const proxies = untrusted === -1 ? addresses.length : untrusted;
    return proxies === 0 ? ownHost(request) : hosts.at(-Math.min(proxies, hosts.length));
  };
}

const ownHost = ({ headers }: IncomingMessage): string | undefined => headers.host;

/** The unit of the limits: an IPv4 address, or the /64 of an IPv6 address, which belongs to one subscriber. */
export function addressGroup(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = shortest(address).split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail ? tail.split(':') : [];
  const groups = [
    ...first,
    ...Array<string>(tail === undefined ? 0 : 8 - first.length - last.length).fill('0'),
    ...last,
  ];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

// A simulated request, as of @fastify/websocket's injectWS(), has no socket.
const ownAddress = ({ socket }: Partial<IncomingMessage>): string | undefined => plain(socket?.remoteAddress);

/** A dual-stack socket writes IPv4 as `::ffff:192.0.2.1`, a proxy may write it as `::ffff:c000:201`; some add the port. */
function plain(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const bare = /^\[(.*)\](?::\d+)?$/.exec(address)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(address)?.[1] ?? address;
  const mapped = isIPv6(bare) ? /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(shortest(bare)) : null;
  if (!mapped) return bare;
  const [high = 0, low = 0] = mapped.slice(1).map((group) => Number.parseInt(group, 16));
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/**
 * The canonical form of an IPv6 address (RFC 5952), with an embedded IPv4 address in hexadecimal, too, and without its zone.
 */
function shortest(address: string): string {
  const [hostname = ''] = address.split('%');
  return new URL(`http://[${hostname}]`).hostname.slice(1, -1);
}
