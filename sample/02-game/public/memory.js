/** What the page keeps: the name for next time, and per window the seat it holds, so that a reload goes on. */
const NAME = 'connect-four:name';
const seatKey = (gameId) => `connect-four:seat:${gameId}`;

export const recallName = () => read(localStorage, NAME) ?? '';
export const rememberName = (name) => write(localStorage, NAME, name);

// Of this window alone: two windows of one browser can play each other.
export const recallSeat = (gameId) => read(sessionStorage, seatKey(gameId));
export const rememberSeat = ({ gameId, token }) => write(sessionStorage, seatKey(gameId), token);
export const forgetSeat = (gameId) => write(sessionStorage, seatKey(gameId), null);

/** The game that somebody was invited to, or sits in. */
export function gameInAddress() {
  const gameId = new URLSearchParams(location.search).get('game');
  return gameId && /^[a-z0-9]{1,16}$/.test(gameId) ? gameId : null;
}

export function showInAddress(gameId) {
  history.replaceState(null, '', gameId ? `?game=${encodeURIComponent(gameId)}` : location.pathname);
}

// Storage can be forbidden; the game works without.
function read(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return null;
  }
}

function write(storage, key, value) {
  try {
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // As above: then a reload starts afresh.
  }
}
