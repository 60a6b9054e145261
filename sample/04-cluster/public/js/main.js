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
  for (const button of ['#add-guest', '#send']) find(button).disabled = !isConnected;
  find('#open-chat').hidden = !balancerPort || !isConnected;
  find('#open-chat').href = `http://${location.hostname}:${balancerPort}/`;
  setText(notice, failure || arrival());
  notice.classList.toggle('is-failure', failure !== '');
  for (const view of views) view.render();
}

/** Where the last message got to, as far as this page can tell: to its own guests. */
function arrival() {
  if (!cluster.lastSaid) return '';
  const { text, roomName, nodes } = cluster.lastSaid;
  if (nodes.size === 0) return `“${text}” went to #${roomName}.`;
  const counts = [...nodes].toSorted().map(([node, count]) => `${count} on node ${node}`);
  return `“${text}” reached the guests in #${roomName}: ${counts.join(', ')}.`;
}
