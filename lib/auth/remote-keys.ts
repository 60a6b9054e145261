import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWK, type JWTVerifyGetKey } from 'jose';
import type { Clock } from '../clock.js';
import { AuthenticationError } from './identity.js';
import { signingKeys } from './public-keys.js';

/** How long the next fetch waits after a failed one, in ms: bad tokens come faster than a provider should be asked. */
const RETRY_MS = 1_000;
/** The limit of a key set, in bytes. The key sets of large providers have some 20 KB. */
const MAX_BYTES = 262_144;

/**
 * The keys that an identity provider publishes. jose caches them and decides when to fetch them again.
 * @param report called once when the provider can't be reached, and again after it could; and for unusable keys
 * @returns throws an `AuthenticationError` of 503 while the keys are unavailable
 */
export function remoteKeys(
  url: URL,
  timeoutDuration: number,
  { clock, report }: { clock: Pick<Clock, 'now'>; report(error: Error): void },
): JWTVerifyGetKey {
  const provider = new Provider(url.host, clock, report);
  return createRemoteJWKSet(url, { timeoutDuration, [customFetch]: (...request) => provider.fetch(...request) });
}

class Provider {
  #failedAt = -Infinity;
  #isKnownToFail = false;
  #knownFlaws = '';

  constructor(
    private readonly host: string,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly report: (error: Error) => void,
  ) {}

  /**
   * The published set without unusable keys. A token that names an unusable key is refused like one with an unknown key.
   */
  async fetch(...request: Parameters<FetchImplementation>): Promise<Response> {
    if (this.clock.now() - this.#failedAt < RETRY_MS) throw outOfReach();
    try {
      const keys = this.#usable(await publishedKeys(await fetch(...request)));
      this.#isKnownToFail = false;
      return Response.json({ keys });
    } catch (error) {
      this.#failedAt = this.clock.now();
      if (!this.#isKnownToFail) this.report(new Error(`The keys of ${this.host} can't be fetched: ${reasonOf(error)}`));
      this.#isKnownToFail = true;
      throw outOfReach();
    }
  }

  #usable(published: unknown[]): JWK[] {
    const flaws: string[] = [];
    const keys = signingKeys(published, (flaw) => flaws.push(flaw));
    const text = flaws.join('; ');
    if (text !== this.#knownFlaws && text !== '')
      this.report(new Error(`Not all keys of ${this.host} are used: ${text}`));
    this.#knownFlaws = text;
    return keys;
  }
}

async function publishedKeys(response: Response): Promise<unknown[]> {
  if (response.status !== 200) throw new Error(`the answer is ${response.status}`);
  const { keys } = (JSON.parse(await textOf(response)) ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('the answer is not a JWK Set');
  return keys;
}

/** @throws as soon as the answer is too long */
async function textOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // An error in this loop ends the response, too.
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`the answer has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

const outOfReach = (): AuthenticationError =>
  new AuthenticationError(503, 'The keys that check tokens are unavailable. Try again soon.');

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}
