/** Messages a room holds on the page; the server's database keeps 50. */
const HELD = 300;
/** A typist who falls silent without a word is forgotten after this. */
const TYPING_MS = 5_000;
/** So long somebody who left was here a moment ago. */
const RECENT_MS = 120_000;

/**
 * One room as this window sees it. A message is `{ key, id, clientId, username, text, at, isOwn, status, error }` with
 * the status `sent`, `sending`, `waiting` (for a connection) or `failed`; one that isn't sent has no id yet.
 */
export class Room {
  messages = [];
  /** `joining` until the messages are here. */
  status = 'joining';
  /** What happened while nobody could see it: `{ afterId, text }`, shown below the message with that id. */
  notice = null;
  /** The client's own of this room. */
  handle = null;
  lastReadId;
  /** Where the line "New" stands while the room is in view. */
  firstNewId = null;
  /** Client ids to `{ username, until }`. */
  typing = new Map();
  /** People who left a moment ago: ids to `{ name, until }`. */
  recent = new Map();

  constructor(name, lastReadId = 0) {
    this.name = name;
    this.lastReadId = lastReadId;
  }

  /** The server has let us in, and messages come. */
  get isLive() {
    return this.handle?.state === 'live';
  }

  get newestId() {
    return this.messages.findLast(({ id }) => id !== undefined)?.id ?? 0;
  }

  get unread() {
    return this.messages.filter(({ id, isOwn }) => id !== undefined && id > this.lastReadId && !isOwn).length;
  }

  /** Takes messages of the server, each one once. */
  add(messages, isOwn) {
    const known = new Map(this.messages.map((message) => [message.key, message]));
    for (const { key: ownKey, id, ...rest } of messages) {
      const key = ownKey ?? `id-${id}`;
      const message = known.get(key);
      const news = { ...rest, key, id, isOwn: isOwn(rest), status: 'sent' };
      if (message) Object.assign(message, news);
      else this.messages.push(news);
      this.typing.delete(rest.clientId);
    }
    this.#sort();
  }

  addOwn(text, username, key) {
    const message = { key, username, text, at: Date.now(), isOwn: true, status: 'sending' };
    this.messages.push(message);
    return message;
  }

  confirm(message, { id, at }) {
    Object.assign(message, { id, at, status: 'sent', error: undefined });
    this.#sort();
  }

  remove(message) {
    this.messages = this.messages.filter((other) => other !== message);
  }

  /** @returns whether that changed anything */
  markRead() {
    const isNews = this.newestId > this.lastReadId;
    this.lastReadId = Math.max(this.lastReadId, this.newestId);
    return isNews;
  }

  /** All that the server has. Only what isn't sent yet stays besides. A database that began anew counts from 1 again. */
  load(messages, isOwn) {
    const known = new Set(messages.map(({ key }) => key));
    this.messages = this.messages.filter(({ id, key }) => id === undefined && !known.has(key));
    this.add(messages, isOwn);
    this.status = 'ready';
    this.lastReadId = Math.min(this.lastReadId, this.newestId);
  }

  /** The room comes into view: what wasn't read gets a line above it. */
  enter() {
    this.firstNewId = this.messages.find(({ id, isOwn }) => id > this.lastReadId && !isOwn)?.id ?? null;
  }

  setTyping({ clientId, username, isTyping }) {
    if (isTyping) this.typing.set(clientId, { username, until: Date.now() + TYPING_MS });
    else this.typing.delete(clientId);
  }

  /** Somebody left. */
  remember(userId, name) {
    this.recent.set(userId, { name, until: Date.now() + RECENT_MS });
  }

  /** Typists who fell silent, and people who left a while ago. @returns whether there was one */
  forgetOld(now = Date.now()) {
    let isChanged = false;
    for (const map of [this.typing, this.recent])
      for (const [id, { until }] of map) if (until <= now) isChanged = map.delete(id);
    return isChanged;
  }

  /** In the server's order, what isn't sent yet last. */
  #sort() {
    this.messages.sort((a, b) => (a.id ?? Infinity) - (b.id ?? Infinity) || 0);
    this.messages.splice(0, this.messages.length - HELD);
  }
}
