import { ErrorCode, RemoteError } from '@scpxl/nestjs-websocket/client';

const COLUMNS = 7;
const MODULE_CODES = Object.values(ErrorCode);

/** What is going on, from the point of view of one seat: a headline and a sentence. */
export function describeState(state, ownSeat) {
  const opponent = state.players[1 - ownSeat];
  switch (state.status) {
    case 'waiting':
      return ['Waiting for an opponent', 'The game starts as soon as somebody opens your link.'];
    case 'over':
      return describeEnd(state, ownSeat, opponent);
    default:
      if (!opponent.isConnected) return [`${opponent.name} is gone for a moment`, 'The seat is kept for a while.'];
      return describeTurn(state, ownSeat, opponent);
  }
}

function describeTurn({ turn, lastCell }, ownSeat, { name }) {
  const isOwn = turn === ownSeat;
  const headline = isOwn ? 'Your turn' : `${name}’s turn`;
  if (lastCell === null) return [headline, isOwn ? 'You begin.' : `${name} begins.`];
  const column = (lastCell % COLUMNS) + 1;
  return [headline, isOwn ? `${name} chose column ${column}.` : `You chose column ${column}.`];
}

function describeEnd({ outcome, players }, ownSeat, opponent) {
  const again = describeRematch(players[ownSeat], opponent);
  if (outcome.winner === null) return ['A draw', again];
  if (outcome.winner !== ownSeat) return [`${opponent?.name ?? 'Your opponent'} wins`, again];
  return [outcome.reason === 'left' ? 'You win: your opponent left' : 'You win!', again];
}

function describeRematch(own, opponent) {
  if (!opponent) return 'The seat is free for somebody else.';
  if (!opponent.isConnected) return `${opponent.name} is gone for a moment.`;
  if (own.wantsRematch) return `Waiting for ${opponent.name} to agree…`;
  return opponent.wantsRematch ? `${opponent.name} wants to play again.` : 'Play again?';
}

/** What a player reads of an error: the game's own sentences. Those of the module are for developers. */
export function describeError(error) {
  if (!(error instanceof RemoteError)) return 'The server is out of reach. Try again.';
  const { code, details, message } = error;
  if (code === ErrorCode.ValidationFailed && Array.isArray(details)) return details.join(' ');
  return MODULE_CODES.includes(code) ? 'That did not work. Try again.' : message;
}

export const CONNECTION_WORDS = {
  idle: 'Connecting…',
  connecting: 'Connecting…',
  open: 'Connected',
  reconnecting: 'Reconnecting…',
  closed: 'Disconnected',
};
