const COLUMNS = 7;
const ROWS = 6;

/** Seven buttons that hold the discs. Knows how a game looks, and nothing of how it is played. */
export class Board {
  #element;
  #columns;
  /** The disc of each cell that has one. */
  #discs = new Map();
  #gameId = null;
  #current = 3;
  #mayMove = false;

  constructor(element, onDrop) {
    this.#element = element;
    this.#columns = Array.from({ length: COLUMNS }, (_, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'column';
      button.addEventListener('click', () => this.#drop(column, onDrop));
      button.addEventListener('focus', () => this.#select(column));
      const preview = disc('preview');
      preview.ariaHidden = 'true';
      button.append(preview);
      return button;
    });
    element.append(...this.#columns);
    this.#select(this.#current);
    document.addEventListener('keydown', (event) => this.#key(event, onDrop));
  }

  focus() {
    this.#columns[this.#current].focus({ preventScroll: true });
  }

  show({ gameId, cells, turn, status, outcome, lastCell }, ownSeat) {
    this.#mayMove = status === 'playing' && turn === ownSeat;
    this.#element.dataset.state = status;
    this.#element.dataset.own = ownSeat;
    this.#element.classList.toggle('may-move', this.#mayMove);
    // Discs that were there when the page came fall no more.
    this.#element.classList.toggle('is-still', this.#gameId !== gameId);
    this.#gameId = gameId;
    cells.forEach((seat, cell) => this.#showCell(cell, seat, { outcome, lastCell }));
    this.#columns.forEach((button, column) => describe(button, column, cells, ownSeat, this.#mayMove));
  }

  #showCell(cell, seat, { outcome, lastCell }) {
    let shown = this.#discs.get(cell);
    if (shown && Number(shown.dataset.seat) !== seat) {
      shown.remove();
      this.#discs.delete(cell);
      shown = undefined;
    }
    if (seat === null) return;
    if (!shown) {
      shown = disc('played', seat);
      shown.style.setProperty('--row', Math.floor(cell / COLUMNS));
      this.#columns[cell % COLUMNS].append(shown);
      this.#discs.set(cell, shown);
    }
    shown.classList.toggle('is-last', cell === lastCell && !outcome);
    shown.classList.toggle('is-winning', outcome?.line.includes(cell) ?? false);
  }

  #drop(column, onDrop) {
    if (this.#mayMove && !this.#columns[column].classList.contains('is-full')) onDrop(column);
  }

  /** One column is in the tab order; the arrow keys go from one to the next. */
  #select(column) {
    this.#current = column;
    this.#columns.forEach((button, index) => (button.tabIndex = index === column ? 0 : -1));
  }

  #key(event, onDrop) {
    const { key, ctrlKey, altKey, metaKey, target } = event;
    if (ctrlKey || altKey || metaKey || target.closest('input') || this.#element.closest('[hidden]')) return;
    const next = {
      ArrowLeft: (this.#current + COLUMNS - 1) % COLUMNS,
      ArrowRight: (this.#current + 1) % COLUMNS,
      Home: 0,
      End: COLUMNS - 1,
    }[key];
    const digit = /^[1-7]$/.test(key) ? Number(key) - 1 : undefined;
    const column = next ?? digit;
    if (column === undefined) return;
    event.preventDefault();
    this.#columns[column].focus();
    if (digit !== undefined) this.#drop(digit, onDrop);
  }
}

function disc(kind, seat) {
  const element = document.createElement('span');
  element.className = `disc ${kind}`;
  if (seat !== undefined) element.dataset.seat = seat;
  return element;
}

/** What a column says to those who can't see it. */
function describe(button, column, cells, ownSeat, mayMove) {
  const discs = [];
  for (let row = ROWS - 1; row >= 0; row--) {
    const seat = cells[row * COLUMNS + column];
    if (seat !== null) discs.push(seat === ownSeat ? 'yours' : 'theirs');
  }
  const isFull = discs.length === ROWS;
  const content = discs.length === 0 ? 'empty' : `${isFull ? 'full, ' : ''}from the bottom: ${discs.join(', ')}`;
  button.ariaLabel = `Column ${column + 1}, ${content}`;
  button.ariaDisabled = String(!mayMove || isFull);
  button.classList.toggle('is-full', isFull);
  button.style.setProperty('--landing', ROWS - 1 - discs.length);
}
