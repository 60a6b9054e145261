import { find, setText } from './dom.js';

const MAX_LENGTH = 1_000;
const COUNT_FROM = 800;
/** Others are told this often that somebody is still typing. */
const TYPING_EVERY_MS = 2_500;

/** Where messages are written: one draft for each room. */
export function composerView(chat) {
  const form = find('#composer');
  const field = find('#text');
  const send = find('#send');
  const counter = find('#counter');
  const drafts = new Map();
  let roomName = null;
  let toldAt = 0;

  const tellTyping = (isTyping) => {
    const isDue = isTyping ? Date.now() - toldAt >= TYPING_EVERY_MS : toldAt > 0;
    if (!isDue) return;
    toldAt = isTyping ? Date.now() : 0;
    chat.tellTyping(roomName, isTyping);
  };
  const fit = () => {
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
    const { length } = field.value.trim();
    counter.hidden = length < COUNT_FROM;
    counter.classList.toggle('is-over', length > MAX_LENGTH);
    setText(counter, `${length.toLocaleString('en')} of ${MAX_LENGTH.toLocaleString('en')} characters`);
    send.classList.toggle('is-ready', length > 0);
  };
  const write = (text) => {
    field.value = text;
    fit();
  };

  field.addEventListener('input', () => {
    tellTyping(field.value.trim() !== '');
    fit();
  });
  field.addEventListener('blur', () => tellTyping(false));
  field.addEventListener('keydown', (event) => {
    // While an input method composes, Enter chooses a word.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '' || !chat.active) return;
    tellTyping(false);
    chat.send(text);
    write('');
    field.focus();
  });

  const focus = () => {
    // On a phone that would bring up the keyboard over the messages.
    if (matchMedia('(hover: hover)').matches) field.focus();
  };

  return {
    focus,
    /** Takes a message back that was refused. */
    edit(text) {
      write(text);
      field.focus();
    },
    render() {
      if (chat.activeName === roomName) return;
      tellTyping(false);
      drafts.set(roomName, field.value);
      roomName = chat.activeName;
      write(drafts.get(roomName) ?? '');
      field.disabled = roomName === null;
      send.disabled = roomName === null;
      field.placeholder = roomName ? `Write to ${roomName}` : 'Join a room to write';
      setText(find('#text-label'), roomName ? `Message to ${roomName}` : 'Message');
    },
  };
}
