import { CatchUps } from '../../lib/history/catch-up.js';
import type { HistoryRule } from '../../lib/history/history-rule.js';
import { LogUnavailableError } from '../../lib/history/log-errors.js';
import { RoomReaders } from '../../lib/history/room-readers.js';
import { Turns } from '../../lib/history/turns.js';
import type { RoomPosition } from '../../lib/protocol/message.js';
import { HistoryLedger } from './history-ledger.js';
import type { HistoryReport } from './history-ledger-facts.js';
import { ManualClock, settle } from './manual-clock.js';
import type { Frame, Member, ModelStore, Node, Operation, Pending } from './history-model-facts.js';

const ROOM = 'chat:1';
const NODES = 3;
const MEMBERS = 4;

/** Nodes with the real readers on one store, a bus that lags and loses, clients that come and go, and the ledger. */
export class HistoryModel {
  readonly ledger: HistoryLedger;
  readonly flaws: string[] = [];
  readonly #nodes: Node[];
  readonly #members: Member[];
  readonly #pending: Pending[] = [];
  #isAway = false;
  /** The largest offset of each epoch. */
  readonly #tops = new Map<string, number>();
  #published = 0;

  constructor(
    private readonly store: ModelStore,
    private readonly rule: HistoryRule,
    private readonly clock: ManualClock,
  ) {
    this.ledger = new HistoryLedger(rule.mode);
    this.#nodes = Array.from({ length: NODES }, (_, index) => this.#newNode(index));
    this.#members = Array.from({ length: MEMBERS }, (_, index) => ({
      name: `m${index}`,
      node: 0,
      state: 'out',
      connection: 0,
      inbox: [],
      isApart: false,
      position: undefined,
    }));
  }

  async run(operations: readonly Operation[]): Promise<HistoryReport> {
    for (const member of this.#members.slice(1)) this.#join(member, 0, 0);
    await this.#settleAll();
    for (const operation of operations) {
      await this.#do(operation);
      await settle();
      await this.#spread();
    }
    await this.#end();
    for (const { readers } of this.#nodes) readers.stop();
    return this.ledger.check();
  }

  async #do(operation: Operation): Promise<void> {
    const { kind } = operation;
    if (kind === 'publish') return this.#publish(operation.key, operation.version);
    if (kind === 'step') return this.#step(operation.pick);
    if (kind === 'pass') return this.clock.pass(operation.ms);
    if (kind === 'hear') return this.#hear(this.#nodes[operation.node % NODES] as Node, operation.how);
    if (kind === 'away' || kind === 'back') return void (this.#isAway = kind === 'away');
    if (kind === 'clear') return void (await this.store.log.clear(ROOM));
    if (!('member' in operation)) return this.store[operation.kind as 'wipe' | 'save' | 'restore']();
    const member = this.#members[operation.member % MEMBERS] as Member;
    if (kind === 'take') return this.#take(member);
    if (kind === 'cut') return this.#cut(member);
    if (kind === 'leave') return this.#leave(member);
    if (kind === 'join') this.#join(member, operation.node % NODES, operation.tail);
  }

  async #publish(key: number | undefined, version: number): Promise<void> {
    // One key, one payload: asked for again, it is the same publication.
    const token = key === undefined ? `t${++this.#published}` : `k${key}`;
    const isLast = this.rule.mode === 'last';
    this.ledger.publishing(token, ROOM);
    const options = { key: key === undefined ? undefined : token, version: isLast ? version : undefined };
    const { epoch, offset, isDuplicate } = await this.store.log.append(ROOM, JSON.stringify({ token }), options);
    const [now] = await this.store.log.top([ROOM]);
    if (now?.epoch !== epoch) this.flaws.push(`${token} was told a place in ${epoch}, and that is over`);
    this.#tops.set(epoch, Math.max(this.#tops.get(epoch) ?? 0, offset));
    // An older version is answered with the place of what is kept: it isn't stored, and nobody may see it.
    if (isLast && isDuplicate && key === undefined) this.ledger.answered(token, { code: 'UNAVAILABLE' });
    else if (!isLast || !isDuplicate) this.ledger.answered(token, { epoch, offset, isDuplicate });
  }

  #join(member: Member, at: number, tail: number): void {
    if (member.state === 'in' || member.state === 'joining') return;
    const since = member.state === 'away' ? member.position : undefined;
    const connection = ++member.connection;
    Object.assign(member, { state: 'joining', node: at, inbox: [] });
    const { readers } = this.#nodes[at] as Node;
    const given = { since, tail: since || tail === 0 ? undefined : tail };
    readers
      .attach(ROOM, this.rule, given, (attachment) => {
        if (member.connection !== connection) throw new Error('The client is gone.');
        readers.hold(ROOM, this.rule);
        member.state = 'in';
        member.inbox.push({ kind: 'answer', since, tail, attachment });
        const { epoch } = attachment.position;
        for (const entry of attachment.entries) member.inbox.push({ kind: 'entry', epoch, entry });
        const reached = attachment.entries.at(-1)?.offset ?? (attachment.recovered ? since?.offset : undefined);
        if (reached !== undefined && reached < attachment.position.offset)
          this.#nodes[at]?.catchUps.start(member.name, ROOM, epoch, reached);
      })
      .catch((error: unknown) => {
        if (member.connection !== connection) return;
        member.state = since ? 'away' : 'out';
        if (!(error instanceof LogUnavailableError)) this.flaws.push(String(error));
      });
  }

  /** The client handles the next that arrived. */
  #take(member: Member): void {
    const frame = member.inbox.shift();
    if (frame?.kind === 'entry') {
      const { token } = JSON.parse(frame.entry.frame) as { token: string };
      member.position = { epoch: frame.epoch, offset: frame.entry.offset };
      this.ledger.seen(member.name, ROOM, token, member.position);
    } else if (frame?.kind === 'reset') {
      if (frame.reason === 'hole') this.#checkLoss('hole', member.position, frame.position);
      member.position = frame.position;
      this.ledger.reset(member.name, ROOM, frame.reason, frame.position);
    } else if (frame) this.#takeAnswer(member, frame);
  }

  #takeAnswer(member: Member, { since, tail, attachment }: Extract<Frame, { kind: 'answer' }>): void {
    const { position, recovered, reason, missed, entries } = attachment;
    if (recovered === false && entries.length > 0) this.flaws.push('a part was recovered');
    if (recovered === false && !since) this.flaws.push('refused without a place');
    if (since && reason === 'too-far-behind' && this.#topOf(since) - since.offset <= this.rule.recoverMax)
      this.flaws.push(`${missed} missed, and too far behind`);
    if (recovered === false && reason === 'expired') this.#checkLoss('expired', since, position);
    const wanted = this.rule.mode === 'last' ? 1 : tail;
    this.ledger.joining(member.name, ROOM)({ ...position, since, recovered, reason, missed, tail: wanted });
    if (!recovered) member.position = { ...position, offset: entries[0] ? entries[0].offset - 1 : position.offset };
  }

  /** What is kept must be found: `size` is what ends first here, unless entries age or are few bytes. */
  #checkLoss(reason: string, from: RoomPosition | undefined, to: RoomPosition): void {
    const { size, ttlMs, maxBytes, mode } = this.rule;
    const endsEarlier = mode === 'log' && (ttlMs < 10_000 || maxBytes < 1_000);
    if (!from || from.epoch !== to.epoch || endsEarlier || (mode === 'log' && this.#topOf(from) - from.offset > size))
      return;
    this.flaws.push(`${reason} from ${from.offset} to ${to.offset}`);
  }

  #topOf({ epoch }: RoomPosition): number {
    return this.#tops.get(epoch) ?? 0;
  }

  #cut(member: Member): void {
    if (member.state === 'in') {
      this.#nodes[member.node]?.catchUps.end(member.name, ROOM);
      this.#nodes[member.node]?.readers.release(ROOM);
    }
    if (member.state === 'in' || member.state === 'joining') {
      member.state = member.position ? 'away' : 'out';
      this.ledger.cut(member.name);
    }
    member.connection++;
    member.inbox = [];
  }

  #leave(member: Member): void {
    if (member.state === 'out') return;
    this.#cut(member);
    Object.assign(member, { state: 'out', position: undefined });
    this.ledger.left(member.name, ROOM);
  }

  async #step(pick: number): Promise<void> {
    const pending = this.#pending[pick % Math.max(1, this.#pending.length)];
    if (!pending) return;
    if (!pending.hasRun) {
      pending.hasRun = true;
      return pending.run();
    }
    this.#pending.splice(this.#pending.indexOf(pending), 1);
    pending.answer();
  }

  #hear({ queue, listeners }: Node, how: 'pass' | 'lose' | 'twice' | 'late'): void {
    const said = queue.shift();
    if (!said || how === 'lose') return;
    if (how === 'late') return void queue.splice(1, 0, said);
    for (let n = how === 'twice' ? 2 : 1; n > 0; n--) for (const listener of listeners) listener(said);
  }

  /** What the store announced is on its way to the nodes that listen. */
  async #spread(): Promise<void> {
    for (const said of await this.store.announced())
      for (const { queue, listeners } of this.#nodes) if (listeners.size > 0) queue.push(said);
  }

  /** All is well, everybody comes back, and one more is published: everybody must have come to it. */
  async #end(): Promise<void> {
    this.#isAway = false;
    await this.#settleAll();
    for (const member of this.#members)
      if (member.state === 'away') this.#join(member, member.node + 1 === NODES ? 0 : member.node + 1, 0);
    await this.#settleAll();
    this.ledger.publishing('the last', ROOM);
    const place = await this.store.log.append(ROOM, JSON.stringify({ token: 'the last' }));
    this.ledger.answered('the last', place);
    await this.#settleAll();
    this.ledger.ended(ROOM, place);
    for (const { state, name, inbox } of this.#members)
      if (state === 'joining' || inbox.length > 0) this.flaws.push(`${name} is ${state}`);
  }

  async #settleAll(): Promise<void> {
    for (let round = 0; round < 12; round++) {
      await settle();
      await this.#spread();
      while (this.#pending.length > 0) {
        await this.#step(0);
        await settle();
      }
      for (const node of this.#nodes) while (node.queue.length > 0) this.#hear(node, 'pass');
      for (const member of this.#members) while (member.inbox.length > 0) this.#take(member);
      await this.clock.pass(600);
    }
  }

  #newNode(index: number): Node {
    const node: Node = { readers: undefined as never, catchUps: undefined as never, queue: [], listeners: new Set() };
    const { log } = this.store;
    node.readers = new RoomReaders({
      log: {
        read: (...given) => this.#slowly(() => log.read(...given)),
        top: (...given) => this.#slowly(() => log.top(...given)),
      },
      clock: this.clock,
      follow: async (_room, heard) => {
        node.listeners.add(heard);
        return () => {
          node.listeners.delete(heard);
          if (node.listeners.size === 0) node.queue.length = 0;
        };
      },
      failed: (error) => {
        if (!(error instanceof LogUnavailableError)) this.flaws.push(`${index}: ${error.stack}`);
      },
    });
    const memberOf = (name: string): Member => this.#members.find((member) => member.name === name) as Member;
    node.catchUps = new CatchUps({
      log: { read: (...given) => this.#slowly(() => log.read(...given)) },
      local: {
        isIn: (name) => memberOf(name).state === 'in' && memberOf(name).node === index,
        setApart: (name) => void (memberOf(name).isApart = true),
        putBack: (name) => void (memberOf(name).isApart = false),
        giveUp: (name) => this.#cut(memberOf(name)),
        whenBelow: () => Promise.resolve(),
      },
      readerOf: (room) => node.readers.find(room),
      send: (name, _room, epoch, entries) => {
        for (const entry of entries) memberOf(name).inbox.push({ kind: 'entry', epoch, entry });
      },
      turns: new Turns(),
      clock: this.clock,
      pieceBytes: 1_000,
      failed: (error) => this.flaws.push(`${index}: ${String(error)}`),
    });
    node.readers.start({
      deliver: (_room, epoch, entry) => this.#toMembers(index, { kind: 'entry', epoch, entry }),
      reset: (room, position, reason) => {
        node.catchUps.endAll(room);
        this.#toMembers(index, { kind: 'reset', position, reason });
      },
    });
    return node;
  }

  #toMembers(index: number, frame: Frame): void {
    for (const { node, state, inbox, isApart } of this.#members)
      if (node === index && state === 'in' && !isApart) inbox.push(frame);
  }

  /** Asked now, executed at one step, answered at another. */
  #slowly<T>(ask: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        hasRun: false,
        answer: () => undefined,
        run: async () => {
          if (this.#isAway) pending.answer = () => reject(new LogUnavailableError('a test'));
          else {
            const answer = await ask();
            pending.answer = () => resolve(answer);
          }
        },
      };
      this.#pending.push(pending);
    });
  }
}
