import { find, h, paintAvatar, reconcile, setText } from './dom.js';

/** Who is in the room in view, and who is writing in it. */
export function peopleView(chat) {
  const list = find('#people-list');
  const typing = find('#typing');

  const create = () =>
    h(
      'li',
      { class: 'person' },
      h('span', { class: 'avatar', 'aria-hidden': 'true' }),
      h('span', { class: 'person-name', dir: 'auto' }),
      h('span', { class: 'person-note' }),
    );
  const update = (node, { name, isMe }) => {
    paintAvatar(find('.avatar', node), name);
    setText(find('.person-name', node), name);
    setText(find('.person-note', node), isMe ? 'you' : '');
  };

  return {
    render() {
      const sorted = chat.peopleHere.toSorted(
        (a, b) =>
          b.isMe - a.isMe ||
          a.name.localeCompare(b.name, undefined, { numeric: true }) ||
          (a.userId < b.userId ? -1 : 1),
      );
      const isAway = chat.connection.state !== 'open';
      reconcile(list, sorted, { key: ({ userId }) => userId, create, update });
      list.classList.toggle('is-stale', isAway);
      setText(find('#people-count'), String(chat.totalHere));
      setText(
        find('#people-recent'),
        recentSentence([...(chat.active?.recent.values() ?? [])].map(({ name }) => name)),
      );
      setText(find('#people-note'), noteOf(chat, isAway));
      const sentence = typistsSentence([...(chat.active?.typing.values() ?? [])].map(({ username }) => username));
      setText(typing, sentence);
      typing.classList.toggle('is-active', sentence !== '');
    },
  };
}

function noteOf({ peopleHere, totalHere, active }, isAway) {
  if (!active) return '';
  const isCrowd = totalHere > peopleHere.length;
  if (isAway)
    return isCrowd
      ? `${totalHere} people were here before the connection was lost.`
      : 'As it was before the connection was lost.';
  return isCrowd ? `${totalHere} people are here: too many to list.` : '';
}

function recentSentence(names) {
  if (names.length === 0) return '';
  if (names.length > 3) return `${names.length} people were here a moment ago.`;
  return `${listOf(names)} ${names.length === 1 ? 'was' : 'were'} here a moment ago.`;
}

function typistsSentence(names) {
  if (names.length === 0) return '';
  if (names.length > 3) return 'Several people are typing…';
  return `${listOf(names)} ${names.length === 1 ? 'is' : 'are'} typing…`;
}

const listOf = (names) => (names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`);
