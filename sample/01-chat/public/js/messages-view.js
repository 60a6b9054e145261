import { find, h, hueOf, paintAvatar, reconcile, setText } from './dom.js';

/** Messages of one author within this time stand together. */
const GROUP_MS = 5 * 60_000;
/** So near to the end, the list follows new messages. */
const NEAR_END_PX = 80;

const TIME = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

/** The messages of the room in view. */
export function messagesView(chat, { onEdit }) {
  const log = find('#log');
  const messages = find('#messages');
  const toNewest = find('#to-newest');
  let roomName;
  let followsEnd = true;
  let seenId = 0;

  const goToEnd = () => {
    log.scrollTop = log.scrollHeight;
  };
  const updateNewest = (room) => {
    const news = room ? room.messages.filter(({ id, isOwn }) => id > seenId && !isOwn).length : 0;
    toNewest.hidden = followsEnd || !room;
    setText(find('#to-newest-text'), news > 0 ? `${news} new` : 'Newest messages');
  };
  log.addEventListener('scroll', () => {
    followsEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
    if (followsEnd) seenId = chat.active?.newestId ?? 0;
    updateNewest(chat.active);
  });
  toNewest.addEventListener('click', () => {
    goToEnd();
    log.focus();
  });
  // A keyboard that comes up, or a box that grows: the end stays in view.
  new ResizeObserver(() => followsEnd && goToEnd()).observe(log);

  const create = (item) => {
    if (item.kind === 'day') return h('p', { class: 'divider', text: item.text });
    if (item.kind === 'new') return h('p', { class: 'divider divider-new', text: 'New' });
    if (item.kind === 'notice') return h('p', { class: 'divider divider-notice', text: item.text });
    return createMessage(item);
  };
  const update = (node, item) => {
    if (item.kind === 'message') updateMessage(node, item, { chat, onEdit });
  };

  return {
    render() {
      const room = chat.active;
      const isOther = room?.name !== roomName;
      const count = messages.childElementCount;
      if (isOther) {
        roomName = room?.name;
        followsEnd = true;
        log.setAttribute('aria-label', room ? `Messages in ${room.name}` : 'Messages');
      }
      // A whole room at once isn't news: only what comes in afterwards is read out.
      const isBulk = isOther || room?.status === 'joining';
      if (isBulk) log.setAttribute('aria-live', 'off');
      reconcile(messages, room ? itemsOf(room) : [], { key: ({ key }) => key, create, update });
      if (isBulk && room?.status === 'ready') setTimeout(() => log.setAttribute('aria-live', 'polite'), 500);
      const wroteOneself = messages.childElementCount > count && room?.messages.at(-1)?.id === undefined;
      if (followsEnd || wroteOneself) goToEnd();
      if (followsEnd) seenId = room?.newestId ?? 0;
      updateNewest(room);
      renderEmpty(room);
    },
  };
}

/** What stands in the list: messages, the days between them, the line above the first unread one, and what was missed. */
function itemsOf({ name, messages, firstNewId, notice }) {
  const items = [];
  let before;
  let due = notice && { kind: 'notice', key: `${name}/notice/${notice.afterId}/${notice.text}`, text: notice.text };
  for (const message of messages) {
    const isAfterNotice = due && !(message.id <= notice.afterId);
    if (isAfterNotice) {
      items.push(due);
      due = null;
    }
    const day = new Date(message.at).toDateString();
    const isNewDay = day !== before?.day;
    const isFirstNew = firstNewId !== null && message.id === firstNewId;
    if (isNewDay) items.push({ kind: 'day', key: `${name}/day/${day}`, text: dayText(message.at) });
    if (isFirstNew) items.push({ kind: 'new', key: `${name}/new/${message.id}` });
    const isSameGroup =
      !isNewDay &&
      !isFirstNew &&
      !isAfterNotice &&
      before.author === authorOf(message) &&
      message.at - before.at < GROUP_MS;
    if (isSameGroup) items.at(-1).endsGroup = false;
    const key = `${name}/${message.key}`;
    items.push({ kind: 'message', key, message, startsGroup: !isSameGroup, endsGroup: true });
    before = { author: authorOf(message), at: message.at, day };
  }
  if (due) items.push(due);
  return items;
}

const authorOf = ({ isOwn, clientId, username }) => (isOwn ? `own/${username}` : `${clientId}/${username}`);

function dayText(at) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  const day = new Date(at).toDateString();
  if (day === today.toDateString()) return 'Today';
  return day === yesterday.toDateString() ? 'Yesterday' : DAY.format(at);
}

function createMessage({ message: { username, text, isOwn } }) {
  const avatar = h('span', { class: 'avatar', 'aria-hidden': 'true' });
  paintAvatar(avatar, username);
  const author = h('span', { class: 'author', text: isOwn ? 'You' : username, dir: 'auto' });
  author.style.setProperty('--hue', String(hueOf(username)));
  return h(
    'div',
    { class: 'message' },
    avatar,
    h('p', { class: 'meta' }, author, ' ', h('time')),
    h('p', { class: 'bubble', text, dir: 'auto' }),
    h('div', { class: 'delivery' }),
  );
}

function updateMessage(node, { message, startsGroup, endsGroup }, { chat, onEdit }) {
  const { at, isOwn, status } = message;
  node.classList.toggle('is-own', isOwn);
  node.classList.toggle('starts-group', startsGroup);
  node.classList.toggle('ends-group', endsGroup);
  const time = find('time', node);
  time.dateTime = new Date(at).toISOString();
  setText(time, TIME.format(at));
  find('.bubble', node).title = TIME.format(at);
  if (node.dataset.status === status) return;
  node.dataset.status = status;
  find('.delivery', node).replaceChildren(...deliveryOf(message, { chat, onEdit }));
}

/** What became of one's own message, as long as it isn't sent. */
function deliveryOf(message, { chat, onEdit }) {
  const { status, error, text, canRetry } = message;
  if (status === 'sending') return [h('span', { class: 'sending', text: 'Sending…' })];
  if (status === 'waiting') return [h('span', { text: 'Waits for the connection' })];
  if (status !== 'failed') return [];
  const button = (label, click) => h('button', { class: 'link', type: 'button', text: label, on: { click } });
  const edit = () => {
    chat.discard(message);
    onEdit(text);
  };
  return [
    h('span', { class: 'delivery-error', role: 'alert', text: `Not sent: ${error}` }),
    canRetry ? button('Try again', () => chat.retry(message)) : button('Edit', edit),
    button('Discard', () => chat.discard(message)),
  ];
}

function renderEmpty(room) {
  const isEmpty = !room || (room.status === 'ready' && room.messages.length === 0);
  find('#empty').hidden = !isEmpty;
  setText(find('#empty-title'), room ? `This is the beginning of ${room.name}` : 'You are in no room');
  setText(
    find('#empty-text'),
    room ? 'Nobody has written here yet. Say hello!' : 'Join one from the list, or open a new one.',
  );
}
