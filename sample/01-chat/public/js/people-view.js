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
  const update = (node, { clientId, username = 'Somebody' }) => {
    paintAvatar(find('.avatar', node), username);
    setText(find('.person-name', node), username);
    setText(find('.person-note', node), clientId === chat.clientId ? 'you' : '');
  };

  return {
    render() {
      const people = chat.activeName ? chat.peopleIn(chat.activeName) : [];
      const isMe = ({ clientId }) => clientId === chat.clientId;
      const sorted = people.toSorted(
        (a, b) =>
          isMe(b) - isMe(a) || (a.username ?? '').localeCompare(b.username ?? '') || (a.clientId < b.clientId ? -1 : 1),
      );
      const isAway = chat.connection.state !== 'open';
      reconcile(list, sorted, { key: ({ clientId }) => clientId, create, update });
      list.classList.toggle('is-stale', isAway);
      setText(find('#people-count'), chat.people ? String(people.length) : `${chat.peopleCount}`);
      setText(find('#people-note'), noteOf(chat, isAway));
      const sentence = typistsSentence([...(chat.active?.typing.values() ?? [])].map(({ username }) => username));
      setText(typing, sentence);
      typing.classList.toggle('is-active', sentence !== '');
    },
  };
}

function noteOf({ people, peopleCount, active }, isAway) {
  if (!active) return '';
  if (isAway) return 'As it was before the connection was lost.';
  return people ? '' : `${peopleCount} people are connected: too many to list.`;
}

function typistsSentence(names) {
  if (names.length === 0) return '';
  if (names.length > 3) return 'Several people are typing…';
  const last = names.at(-1);
  return names.length === 1 ? `${last} is typing…` : `${names.slice(0, -1).join(', ')} and ${last} are typing…`;
}
