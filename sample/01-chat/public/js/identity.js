const KEY = 'pxl-chat';
const REMEMBERED_CLIENT_IDS = 40;

/**
 * Who this window is: name, rooms, what was read. It is kept for the window (a reload) and for the browser (the next
 * visit). A second window that is opened next to the first one is somebody else, until it says otherwise.
 */
export class Identity {
  name = '';
  /** Tells the server that two tabs are one person. Nobody else gets to know it. */
  secret = randomText();
  rooms = [];
  active = null;
  /** Room names to the id of the last message that was read. */
  lastRead = {};
  /** The server gives a new client id with each connection: these were ours. */
  clientIds = [];

  /** True when this window knows who it is. */
  async restore() {
    const own = read(sessionStorage);
    const shared = read(localStorage);
    const isOnly = await isOnlyWindow();
    const known = own ?? (isOnly ? shared : null);
    if (known) Object.assign(this, known);
    return known !== null;
  }

  /** Under the name that this browser knows, a second window is the same person. */
  call(name) {
    const known = read(localStorage);
    if (known?.name === name && known.secret) this.secret = known.secret;
    this.name = name;
  }

  addClientId(clientId) {
    if (this.clientIds.includes(clientId)) return;
    this.clientIds = [...this.clientIds, clientId].slice(-REMEMBERED_CLIENT_IDS);
    this.save();
  }

  save() {
    const { name, secret, rooms, active, lastRead, clientIds } = this;
    const text = JSON.stringify({ name, secret, rooms, active, lastRead, clientIds });
    for (const storage of [sessionStorage, localStorage]) {
      try {
        storage.setItem(KEY, text);
      } catch {
        // Full or forbidden (private windows): the chat works, it only forgets.
      }
    }
  }
}

/** `crypto.randomUUID()` is only there on HTTPS and localhost. */
export const randomText = () =>
  [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** As the server wants it: what can't be seen goes, and so do spaces around it. */
export const tidyName = (text) =>
  text
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, '')
    .trim();

export const tidyRoomName = (text) =>
  text
    .trim()
    .toLowerCase()
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 32);

function read(storage) {
  try {
    const known = JSON.parse(storage.getItem(KEY) ?? 'null');
    return known && typeof known.name === 'string' && known.name !== '' && Array.isArray(known.rooms) ? known : null;
  } catch {
    return null;
  }
}

/** The first window holds the lock as long as it lives. Pages without locks (no HTTPS) count as not the only one. */
function isOnlyWindow() {
  if (!navigator.locks) return Promise.resolve(false);
  return new Promise((resolve) => {
    void navigator.locks.request(KEY, { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock ? new Promise(() => {}) : undefined;
    });
  });
}
