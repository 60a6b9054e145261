import { CONNECTION_WORDS, describeState } from './words.js';

const $ = (id) => document.getElementById(id);

/** Everything around the board. Names come from strangers: they only ever go into `textContent`. */
export class View {
  isBusy = false;
  #connection = 'connecting';
  #detail = '';

  constructor({ onEnter, onNewGame, onRematch, onLeave }) {
    const name = () => $('name').value.trim();
    $('enter').addEventListener('submit', (event) => {
      event.preventDefault();
      if (name()) onEnter(name());
    });
    $('new-game').addEventListener('click', () => {
      if ($('enter').reportValidity()) onNewGame(name());
    });
    $('name').addEventListener('input', () => {
      // "required" is content with spaces, the server isn't.
      $('name').setCustomValidity(name() ? '' : 'Please enter a name.');
    });
    $('rematch').addEventListener('click', onRematch);
    $('leave').addEventListener('click', onLeave);
    $('copy').addEventListener('click', copyLink);
    $('link').addEventListener('focus', () => $('link').select());
    $('share').hidden = !navigator.share;
    $('share').addEventListener('click', () => navigator.share({ url: $('link').value }).catch(() => undefined));
  }

  showLobby({ name, isInvited }) {
    setText('lobby-title', isInvited ? 'You are invited to a game' : 'Play with a friend');
    setText(
      'lobby-text',
      isInvited
        ? 'Four discs in a row win: across, up or slanting.'
        : 'Start a game and send its link to somebody. Four discs in a row win: across, up or slanting.',
    );
    setText('enter-button', isInvited ? 'Join the game' : 'Start a game');
    $('new-game').hidden = !isInvited;
    $('name').value = name;
    $('game').hidden = true;
    $('lobby').hidden = false;
    $('name').focus();
    document.title = 'Connect Four';
  }

  showGame(state, ownSeat) {
    const [headline, detail] = describeState(state, ownSeat);
    setText('headline', headline);
    this.#detail = detail;
    this.#showDetail();
    const { status, turn, outcome, players } = state;
    const isOwnTurn = status === 'playing' && turn === ownSeat;
    $('headline').dataset.mood = outcome?.winner === ownSeat ? 'won' : isOwnTurn ? 'turn' : 'calm';
    document.title = `${isOwnTurn ? '● ' : ''}${headline} – Connect Four`;
    $('players').replaceChildren(...players.map((player, seat) => playerPlate(player, seat, state, ownSeat)));
    $('invite').hidden = players.every((player) => player !== null);
    $('link').value = location.href;
    const canAgree = status === 'over' && players.every((player) => player !== null);
    $('rematch').hidden = !canAgree || players[ownSeat].wantsRematch;
    $('lobby').hidden = true;
    $('game').hidden = false;
  }

  showConnection(state) {
    this.#connection = state;
    $('connection').dataset.state = state;
    setText('connection', CONNECTION_WORDS[state]);
    this.#showDetail();
    this.#showEnabled();
  }

  showBusy(isBusy) {
    this.isBusy = isBusy;
    this.#showEnabled();
  }

  showNotice(text) {
    setText('notice', text);
    $('notice').hidden = text === '';
  }

  /** Without a connection nobody knows what the opponent does. */
  #showDetail() {
    setText(
      'detail',
      this.#connection === 'open' ? this.#detail : 'The connection is lost. The game goes on when it is back.',
    );
  }

  #showEnabled() {
    document.body.classList.toggle('is-offline', this.#connection !== 'open');
    for (const id of ['enter-button', 'new-game', 'rematch']) {
      $(id).disabled = this.isBusy || this.#connection !== 'open';
    }
  }
}

function playerPlate(player, seat, { status, turn }, ownSeat) {
  const plate = element('li', 'plate');
  plate.dataset.seat = seat;
  plate.classList.toggle('is-turn', status === 'playing' && turn === seat);
  plate.classList.toggle('is-away', player !== null && !player.isConnected);
  plate.classList.toggle('is-free', player === null);
  const disc = element('span', 'disc');
  disc.dataset.seat = seat;
  const words = element('span', 'who');
  words.append(
    element('span', 'name', player?.name ?? 'Free seat'),
    element('span', 'role', roleOf(player, seat, ownSeat)),
  );
  plate.append(disc, words);
  if (player) {
    const wins = element('span', 'wins', String(player.wins));
    wins.ariaLabel = `${player.wins} ${player.wins === 1 ? 'win' : 'wins'}`;
    wins.role = 'img';
    plate.append(wins);
  }
  return plate;
}

function roleOf(player, seat, ownSeat) {
  if (!player) return 'Waiting…';
  if (!player.isConnected) return 'Away';
  return seat === ownSeat ? 'You' : 'Opponent';
}

async function copyLink() {
  const link = $('link');
  link.select();
  try {
    await navigator.clipboard.writeText(link.value);
  } catch {
    // Only secure pages may; the selection can be copied by hand.
    return;
  }
  setText('copy', 'Copied');
  setTimeout(() => setText('copy', 'Copy'), 2_000);
}

function element(tag, className, text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Only what changed: a screen reader says a live text again each time it is set. */
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}
