import { find, setText } from '../../../01-chat/public/js/dom.js';
import { sentenceOf } from '../../../01-chat/public/js/sentences.js';
import { Cluster } from './cluster.js';
import { logView } from './log-view.js';
import { nodesView } from './nodes-view.js';

const cluster = new Cluster();
const notice = find('#notice');
let failure = '';

const failed = (text) => {
  failure = text;
  render();
};

/** Runs what a form asks for; what goes wrong is told below the forms. */
function onSubmit(selector, act) {
  find(selector).addEventListener('submit', (event) => {
    event.preventDefault();
    failure = '';
    act().catch((error) => failed(sentenceOf(error)));
  });
}

onSubmit('#guest-form', async () => {
  if (cluster.isFull) failed('Twelve guests are enough for one page.');
  else await cluster.addGuest(find('#guest-room').value.trim());
});
onSubmit('#say-form', async () => {
  const box = find('#say-text');
  await cluster.say(find('#say-room').value.trim(), box.value);
  box.value = '';
  box.focus();
});
find('#talk').addEventListener('click', () => {
  failure = '';
  cluster.toggleTalk(find('#say-room').value.trim()).catch((error) => failed(sentenceOf(error)));
});

const views = [nodesView(cluster, { onFailed: failed }), logView(cluster)];
cluster.addEventListener('change', render);
cluster.start();

function render() {
  const { isConnected, balancerPort, clients, nodes } = cluster;
  const running = nodes.filter(({ state }) => state === 'running').length;
  const people = `${clients.length} ${clients.length === 1 ? 'client' : 'clients'}`;
  setText(
    find('#status'),
    isConnected
      ? `${running} of ${nodes.length} nodes run, ${people}`
      : 'No connection to this page’s server. Trying again…',
  );
  find('#status').dataset.isConnected = String(isConnected);
  for (const button of ['#add-guest', '#send', '#talk']) find(button).disabled = !isConnected;
  find('#open-chat').hidden = !balancerPort || !isConnected;
  find('#open-chat').href = `http://${location.hostname}:${balancerPort}/`;
  setText(notice, failure || arrival());
  notice.classList.toggle('is-failure', failure !== '');
  setText(find('#talk'), cluster.talk?.isOn ? 'Stop counting' : 'Keep counting');
  setText(find('#tally'), cluster.talk ? tally(cluster.talk) : '');
  setText(find('#present'), present(cluster.guests));
  for (const view of views) view.render();
}

/** Who of this page's guests has which of the numbers. */
function tally({ roomName, count, place }) {
  const guests = cluster.guests.filter((guest) => guest.roomName === roomName);
  const late = guests.filter((guest) => guest.missing(place) > 0);
  const said = `${count} ${count === 1 ? 'number' : 'numbers'} said to #${roomName}.`;
  if (late.length > 0)
    return `${said} ${late.map((guest) => `${guest.name}: ${guest.missing(place)} to come`).join(', ')}.`;
  return guests.length > 0 ? `${said} Every guest has all of them.` : said;
}

/** How many people the guests of this page see in their rooms. A killed node changes nothing in it. */
function present(guests) {
  const rooms = Map.groupBy(guests, ({ roomName }) => roomName);
  return [...rooms]
    .map(([roomName, members]) => {
      const counts = new Set(members.map(({ peopleCount }) => peopleCount));
      return `${[...counts].toSorted((a, b) => a - b).join(' or ')} ${Math.max(...counts) === 1 ? 'person' : 'people'} in #${roomName}`;
    })
    .map((sentence) => `The guests see ${sentence}.`)
    .join(' ');
}

/** Where the last message got to, as far as this page can tell: to its own guests. */
function arrival() {
  if (!cluster.lastSaid) return '';
  const { text, roomName, nodes } = cluster.lastSaid;
  if (nodes.size === 0) return `“${text}” went to #${roomName}.`;
  const counts = [...nodes].toSorted().map(([node, count]) => `${count} on node ${node}`);
  return `“${text}” reached the guests in #${roomName}: ${counts.join(', ')}.`;
}
