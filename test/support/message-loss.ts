/** What becomes of a message that Redis sends to a subscriber. */
export type Fate = 'pass' | 'lose' | 'twice' | 'late';

/**
 * Stands in the way of what one Redis connection says, and loses, repeats or turns round messages of subscriptions; replies go
 * through untouched. It reads RESP 2 and 3 (https://redis.io/docs/latest/develop/reference/protocol-spec).
 */
export class MessageLoss {
  #rest = Buffer.alloc(0);
  #late: Buffer | undefined;

  constructor(private readonly fateOf: (message: string) => Fate) {}

  through(data: Buffer): Buffer {
    const bytes = Buffer.concat([this.#rest, data]);
    const out: Buffer[] = [];
    let at = 0;
    for (let end = endOf(bytes, at); end > 0; end = endOf(bytes, at)) {
      const reply = bytes.subarray(at, end);
      at = end;
      out.push(...this.#pass(reply));
    }
    this.#rest = bytes.subarray(at);
    return Buffer.concat(out);
  }

  #pass(reply: Buffer): Buffer[] {
    const text = reply.toString('latin1');
    const isMessage = /^[*>]3\r\n\$[78]\r\ns?message\r\n/.test(text);
    const fate = isMessage ? this.fateOf(text) : 'pass';
    const late = this.#late;
    this.#late = undefined;
    const passed = fate === 'lose' ? [] : fate === 'twice' ? [reply, reply] : [reply];
    if (fate !== 'late') return late ? [...passed, late] : passed;
    this.#late = Buffer.from(reply);
    return late ? [late] : [];
  }
}

/** Where the reply that begins at `at` ends; 0 when it isn't whole. */
function endOf(bytes: Buffer, at: number): number {
  const line = bytes.indexOf('\r\n', at);
  if (line < 0) return 0;
  const kind = String.fromCharCode(bytes[at] as number);
  const count = Number(bytes.toString('latin1', at + 1, line));
  const next = line + 2;
  if (kind === '$' || kind === '=') {
    const end = count < 0 ? next : next + count + 2;
    return end <= bytes.length ? end : 0;
  }
  if (!'*>~%'.includes(kind)) return next;
  let end = next;
  for (let n = kind === '%' ? 2 * count : count; n > 0; n--) {
    end = endOf(bytes, end);
    if (end === 0) return 0;
  }
  return end;
}
