import { RemoteError, WebSocketClient } from '@scpxl/nestjs-websocket/client';
import { Board } from './board.js';
import {
  forgetSeat,
  gameInAddress,
  recallName,
  recallSeat,
  rememberName,
  rememberSeat,
  showInAddress,
} from './memory.js';
import { View } from './view.js';
import { describeError } from './words.js';

/** The game in the address can't be played, by whoever is asked to. */
const NO_SEAT = ['NO_SUCH_GAME', 'GAME_FULL'];

/** Where this page sits, once the server has said so: `{ gameId, seat, token }`. */
let seated = null;
/** The last `game/state`; the server pushes it whenever it changes. */
let state = null;

const client = new WebSocketClient({
  url: '/ws',
  reconnect: { initial: true, minDelayMs: 300, maxDelayMs: 5_000 },
  events: {
    onConnected: () => void takeSeatAgain(),
    onStateChanged: ({ state: connection }) => view.showConnection(connection),
    onError: ({ error }) => console.warn(error.message),
  },
});

client.on('game', 'state', (pushed) => {
  const isNewRound = pushed.status === 'playing' && state?.status !== 'playing';
  state = pushed;
  render();
  // The button that had the focus may be gone.
  if (isNewRound && document.activeElement === document.body) board.focus();
});
// The server takes this connection out of its game when the same player goes on with another one.
client.on('system', 'leftRoom', () => {
  if (seated) backToLobby('This game goes on in another window.');
});

const board = new Board(document.querySelector('#board'), (column) => ask('move', { column }));
const view = new View({
  onEnter: (name) => enter(name, gameInAddress()),
  onNewGame: (name) => enter(name, null),
  onRematch: () => ask('rematch'),
  onLeave: leave,
});

// With a seat to take again, the game shows itself as soon as the server is there.
if (!ownToken()) view.showLobby({ name: recallName(), isInvited: gameInAddress() !== null });
client.connectToServer().catch(() => {
  // Shown by the connection state; the client keeps trying.
});

/** A new game, or with its id the free seat of one. */
async function enter(name, gameId) {
  rememberName(name);
  const error = await attempt(async () => {
    takeSeat(await client.request('game', gameId ? 'join' : 'create', gameId ? { name, gameId } : { name }));
  });
  if (NO_SEAT.includes(error?.code)) backToLobby(describeError(error));
}

/** What gives this window its seat in the game of its address. */
function ownToken() {
  return gameInAddress() && recallSeat(gameInAddress());
}

/** After a reload or a lost connection: the token gives the same seat back. */
async function takeSeatAgain() {
  const gameId = gameInAddress();
  const token = ownToken();
  if (!token) return;
  try {
    takeSeat(await client.request('game', 'join', { gameId, name: recallName() || 'Player', token }));
  } catch (error) {
    if (!(error instanceof RemoteError)) return; // The connection went again: so will this.
    backToLobby(describeError(error));
  }
}

async function leave() {
  const isRunning = state?.status === 'playing';
  if (isRunning && !confirm('Leave in the middle of the round? Your opponent wins it.')) return;
  const { gameId } = seated;
  backToLobby();
  const error = await attempt(() => client.request('game', 'leave', { gameId }));
  // Without a connection there is nothing to try again: the server frees the seat by itself after a while.
  if (error && !(error instanceof RemoteError)) view.showNotice('');
}

async function ask(action, data) {
  await attempt(() => client.request('game', action, { gameId: seated.gameId, ...data }));
}

/** One request at a time. What goes wrong is shown, and returned. */
async function attempt(act) {
  if (view.isBusy) return undefined;
  view.showBusy(true);
  try {
    await act();
    view.showNotice('');
    return undefined;
  } catch (error) {
    view.showNotice(describeError(error));
    return error;
  } finally {
    view.showBusy(false);
  }
}

function takeSeat(given) {
  const isNew = seated === null;
  seated = given;
  rememberSeat(given);
  showInAddress(given.gameId);
  render();
  if (isNew) board.focus();
}

function backToLobby(notice = '') {
  if (seated) forgetSeat(seated.gameId);
  else if (gameInAddress()) forgetSeat(gameInAddress());
  seated = null;
  state = null;
  showInAddress(null);
  view.showLobby({ name: recallName(), isInvited: false });
  view.showNotice(notice);
}

/** The state may come before the reply that says which seat is ours. */
function render() {
  if (!seated || state?.gameId !== seated.gameId) return;
  view.showGame(state, seated.seat);
  board.show(state, seated.seat);
}
