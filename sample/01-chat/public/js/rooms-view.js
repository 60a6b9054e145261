import { DEFAULT_ROOMS } from './chat.js';
import { find, h, icon, reconcile, setText } from './dom.js';
import { tidyRoomName } from './identity.js';
import { sentenceOf } from './sentences.js';

/** The rooms to choose from, those to join, the form for a new one, and the header of the room in view. */
export function roomsView(chat, { onChosen }) {
  const joined = find('#joined-rooms');
  const others = find('#other-rooms');
  const form = find('#new-room');
  const field = find('#new-room-name');
  const hint = find('#new-room-hint');
  const leave = find('#leave');

  const tell = (sentence, isError = false) => {
    hint.textContent = sentence;
    hint.classList.toggle('hint-error', isError);
  };
  const join = async (roomName) => {
    try {
      await chat.join(roomName);
      tell('');
      onChosen();
      return true;
    } catch (error) {
      tell(`${roomName}: ${sentenceOf(error)}`, true);
      return false;
    }
  };

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const roomName = tidyRoomName(field.value);
    if (roomName === '') return tell('A room name needs letters or digits.', true);
    if (await join(roomName)) field.value = '';
  });
  field.addEventListener('input', () => {
    const roomName = tidyRoomName(field.value);
    tell(roomName === '' || roomName === field.value ? '' : `The room will be called “${roomName}”.`);
  });
  leave.addEventListener('click', () => {
    chat.leave(chat.activeName);
    onChosen();
  });
  chat.addEventListener('refused', ({ detail: { roomName, sentence } }) => tell(`${roomName}: ${sentence}`, true));
  document.addEventListener('keydown', (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.altKey || chat.rooms.size === 0) return;
    event.preventDefault();
    const names = [...chat.rooms.keys()];
    chat.show(names.at((names.indexOf(chat.activeName) + step) % names.length));
  });

  const createJoined = ({ name }) =>
    h(
      'li',
      {},
      h(
        'button',
        { class: 'room-item', type: 'button', on: { click: () => void (chat.show(name), onChosen()) } },
        icon('hash'),
        h('span', { class: 'room-name', text: name }),
        h('span', { class: 'badge' }),
        h('span', { class: 'visually-hidden unread-text' }),
      ),
    );
  const updateJoined = (node, room) => {
    const button = find('button', node);
    const { unread } = room;
    if (room.name === chat.activeName) button.setAttribute('aria-current', 'true');
    else button.removeAttribute('aria-current');
    button.classList.toggle('has-unread', unread > 0);
    find('.badge', node).hidden = unread === 0;
    setText(find('.badge', node), countOf(unread));
    find('.badge', node).setAttribute('aria-hidden', 'true');
    setText(find('.unread-text', node), unread > 0 ? ` ${unread} unread` : '');
  };
  const createOther = (roomName) =>
    h(
      'li',
      {},
      h(
        'button',
        { class: 'room-item', type: 'button', on: { click: () => void join(roomName) } },
        icon('plus'),
        h('span', { class: 'visually-hidden', text: 'Join ' }),
        h('span', { class: 'room-name', text: roomName }),
        h('span', { class: 'room-people' }),
      ),
    );
  const updateOther = (node, roomName) => {
    const count = chat.clientsIn(roomName).length;
    setText(find('.room-people', node), count > 0 ? `${count} here` : '');
  };

  return {
    render() {
      const rooms = [...chat.rooms.values()];
      const { otherRooms } = chat;
      reconcile(joined, rooms, { key: ({ name }) => name, create: createJoined, update: updateJoined });
      reconcile(others, otherRooms, { key: (name) => name, create: createOther, update: updateOther });
      find('#other-section').hidden = otherRooms.length === 0;
      renderHeader(chat, leave);
      renderTotals(chat, rooms);
    },
  };
}

function renderHeader({ active, activeName }, leave) {
  setText(find('#room-title'), activeName ?? 'Chat');
  setText(find('#room-topic'), activeName ? (DEFAULT_ROOMS[activeName] ?? 'A room of its own') : '');
  leave.hidden = !active;
  setText(find('#leave-room'), ` ${activeName ?? ''}`);
}

/** What waits in rooms that aren't in view: on the button of the drawer, and in the window's title. */
function renderTotals({ activeName }, rooms) {
  const total = rooms.reduce((sum, { unread }) => sum + unread, 0);
  const badge = find('#menu-badge');
  badge.hidden = total === 0;
  setText(badge, countOf(total));
  document.title = `${total > 0 ? `(${countOf(total)}) ` : ''}${activeName ? `${activeName} – ` : ''}Chat`;
}

const countOf = (number) => (number > 99 ? '99+' : String(number));
