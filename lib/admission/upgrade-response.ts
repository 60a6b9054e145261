import { validateHeaderName, validateHeaderValue } from 'node:http';
import { isRefusal } from '../routing/describe-error.js';

type Text = string | number | boolean | null | undefined;
type HeaderValue = string | number | readonly string[];

/** The answer of a guard or a filter. */
export interface WrittenAnswer {
  status: number;
  type: string;
  body: string;
}

/**
 * The parts of Express's and Fastify's response that guards and exception filters use. Nothing is sent before they have
 * finished, and nothing at all for an accepted connection.
 */
export class UpgradeResponse {
  statusCode: number;
  readonly #headers = new Map<string, [name: string, value: string | readonly string[]]>();
  #body: string | undefined;

  /** @param statusCode of an answer that sets none */
  constructor(statusCode = 403) {
    this.statusCode = statusCode;
  }

  get headersSent(): boolean {
    return this.#body !== undefined;
  }

  get sent(): boolean {
    return this.headersSent;
  }

  /** Fastify's access to Node's response. */
  get raw(): this {
    return this;
  }

  /** Undefined without an answer. A status that isn't an error counts as 403. */
  get written(): WrittenAnswer | undefined {
    if (this.#body === undefined) return undefined;
    const status = isRefusal(this.statusCode) ? this.statusCode : 403;
    return { status, type: String(this.getHeader('content-type') ?? 'text/plain; charset=utf-8'), body: this.#body };
  }

  get headers(): Record<string, string | readonly string[]> {
    return Object.fromEntries(this.#headers.values());
  }

  status(code: number): this {
    this.statusCode = code;
    return this;
  }

  code(code: number): this {
    return this.status(code);
  }

  /** @throws {TypeError} for an invalid header: a line break would add further headers */
  setHeader(name: string, value: HeaderValue): this {
    const values = [value].flat().map(String);
    validateHeaderName(name);
    for (const text of values) validateHeaderValue(name, text);
    this.#headers.set(name.toLowerCase(), [name, Array.isArray(value) ? values : String(value)]);
    return this;
  }

  header(name: string, value: HeaderValue): this {
    return this.setHeader(name, value);
  }

  set(name: string | Record<string, HeaderValue>, value: HeaderValue = ''): this {
    if (typeof name === 'string') return this.setHeader(name, value);
    for (const [field, text] of Object.entries(name)) this.setHeader(field, text);
    return this;
  }

  type(type: string): this {
    return this.setHeader('Content-Type', type);
  }

  getHeader(name: string): string | readonly string[] | undefined {
    return this.#headers.get(name.toLowerCase())?.[1];
  }

  removeHeader(name: string): this {
    this.#headers.delete(name.toLowerCase());
    return this;
  }

  json(body: unknown): this {
    if (!this.#headers.has('content-type')) this.type('application/json; charset=utf-8');
    return this.end(JSON.stringify(body) ?? '');
  }

  send(body?: unknown): this {
    return typeof body === 'object' && body !== null ? this.json(body) : this.end(body as Text);
  }

  /** Only the first answer counts. */
  end(body?: Text): this {
    this.#body ??= String(body ?? '');
    return this;
  }
}
