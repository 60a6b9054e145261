import { find, paintAvatar, setText } from './dom.js';
import { missedSentence } from './sentences.js';

const STATUS = {
  idle: 'Not connected',
  connecting: 'Connecting…',
  open: 'Connected',
  reconnecting: 'Reconnecting…',
  closed: 'Disconnected',
};
const WELCOME_BACK_MS = 3_000;

/** The banner that says what became of the connection, and the dot beside one's own name. */
export function connectionView(chat) {
  const banner = find('#banner');
  const text = find('#banner-text');
  const countdown = find('#countdown');
  const button = find('#reconnect');
  const status = find('#status');
  const name = find('#my-name');
  let hideTimer;

  button.addEventListener('click', () => chat.reconnect());
  addEventListener('online', () => chat.connection.state === 'reconnecting' && chat.reconnect());

  const show = (kind, sentence) => {
    banner.dataset.kind = kind;
    setText(text, sentence);
  };
  const count = () => {
    const { retryAt } = chat.connection;
    const seconds = retryAt === null ? 0 : Math.ceil((retryAt - Date.now()) / 1_000);
    setText(countdown, seconds > 0 ? `Reconnecting in ${seconds} s` : 'Reconnecting…');
  };
  setInterval(count, 250);

  return {
    render() {
      const { state, wasLost } = chat.connection;
      setText(name, chat.name);
      paintAvatar(find('#my-avatar'), chat.name);
      status.dataset.state = state;
      setText(status, STATUS[state]);
      countdown.hidden = state !== 'reconnecting';
      button.hidden = state !== 'reconnecting' && state !== 'closed';
      if (state !== 'open') clearTimeout(hideTimer);
      if (state === 'reconnecting') show('lost', 'The connection is lost.');
      else if (state === 'closed') show('lost', 'The server has ended the connection.');
      else if (state === 'open' && wasLost) {
        const { missed } = chat.connection;
        show('back', missed > 0 ? `Connected again. ${missedSentence(missed)}` : 'Connected again.');
        chat.connection.wasLost = false;
        hideTimer = setTimeout(() => show('none', ''), WELCOME_BACK_MS);
      } else if (state === 'connecting') show('none', '');
      setText(button, state === 'closed' ? 'Reconnect' : 'Try now');
      count();
    },
  };
}
