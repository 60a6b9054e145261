const COLUMNS = 7;

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

export const CONNECTION_WORDS = {
  idle: 'Connecting…',
  connecting: 'Connecting…',
  open: 'Connected',
  reconnecting: 'Reconnecting…',
  closed: 'Disconnected',
};
