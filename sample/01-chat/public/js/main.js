import { Chat } from './chat.js';
import { find } from './dom.js';
import { Identity } from './identity.js';
import { composerView } from './composer-view.js';
import { connectionView } from './connection-view.js';
import { drawers } from './drawers.js';
import { messagesView } from './messages-view.js';
import { nameDialog } from './name-dialog.js';
import { peopleView } from './people-view.js';
import { roomsView } from './rooms-view.js';

const identity = new Identity();
const isKnown = await identity.restore();
const chat = new Chat(identity);
const askName = nameDialog();
const closeDrawers = drawers();

const composer = composerView(chat);
const views = [
  roomsView(chat, { onChosen: () => void (closeDrawers(true), composer.focus()) }),
  messagesView(chat, { onEdit: (text) => composer.edit(text) }),
  peopleView(chat),
  connectionView(chat),
  composer,
];
chat.addEventListener('change', () => {
  if (document.visibilityState === 'visible') chat.read();
  for (const view of views) view.render();
});
// Coming back to the page is reading it.
document.addEventListener('visibilitychange', () => chat.dispatchEvent(new Event('change')));

find('#rename').addEventListener('click', () => {
  void askName({ name: chat.name, accept: (name) => chat.rename(name), isOptional: true });
});

if (!isKnown) {
  await askName({
    name: '',
    accept: (name) => identity.call(name),
  });
}
chat.start();
composer.focus();
