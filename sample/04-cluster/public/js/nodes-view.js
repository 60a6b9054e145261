import { find, h, paintAvatar, reconcile, setText } from '../../../01-chat/public/js/dom.js';
import { sentenceOf } from '../../../01-chat/public/js/sentences.js';

const STATES = {
  starting: 'Starting',
  running: 'Running',
  stopping: 'Stopping',
  stopped: 'Stopped',
  killed: 'Killed',
  crashed: 'Crashed',
  unknown: 'Not known',
};

/** A column for each node: its state, what may be done to it, and who is connected to it. */
export function nodesView(cluster, { onFailed }) {
  const list = find('#nodes');
  const command = async (action, name) => {
    try {
      await cluster.command(action, name);
    } catch (error) {
      onFailed(`Node ${name}: ${sentenceOf(error)}`);
    }
  };

  const create = ({ name }) =>
    h(
      'article',
      { class: 'node', 'aria-labelledby': `node-${name}` },
      h(
        'header',
        { class: 'node-head' },
        h('h3', { id: `node-${name}`, text: `Node ${name}` }),
        h('span', { class: 'state' }),
        h('p', { class: 'facts' }),
      ),
      h(
        'div',
        { class: 'actions' },
        button('start', 'Start', name, () => command('start', name)),
        button('stop', 'Stop', name, () => command('stop', name), 'SIGTERM: it says goodbye first'),
        button('kill', 'Kill', name, () => command('kill', name), 'SIGKILL: gone without a word'),
        h(
          'a',
          { class: 'button button-small open', target: '_blank', rel: 'noopener', text: 'Chat here' },
          h('span', { class: 'visually-hidden', text: ` on node ${name}` }),
        ),
      ),
      h('ul', { class: 'clients', 'aria-label': `Clients of node ${name}` }),
      h('p', { class: 'hint node-note' }),
    );

  const update = (element, { name, port, pid, ...node }) => {
    // What this page knows of the nodes comes from its own server.
    const state = cluster.isConnected ? node.state : 'unknown';
    const isUp = state === 'running' || state === 'starting';
    const clients = cluster.clients.filter((client) => client.node === name);
    element.dataset.state = state;
    setText(find('.state', element), STATES[state]);
    const isGhostly = !isUp && state !== 'stopping';
    setText(find('.facts', element), factsOf({ state, port, pid }));
    show(find('.start', element), isGhostly && state !== 'unknown');
    show(find('.stop', element), isUp);
    show(find('.kill', element), isUp || state === 'stopping');
    const link = find('.open', element);
    show(link, state === 'running');
    link.href = `http://${location.hostname}:${port}/`;
    reconcile(find('.clients', element), clients, {
      key: ({ clientId }) => clientId,
      create: () => clientElement(cluster),
      update: updateClient(cluster, isGhostly),
    });
    setText(find('.node-note', element), noteOf(state, clients.length));
  };

  return { render: () => reconcile(list, cluster.nodes, { key: ({ name }) => name, create, update }) };
}

function factsOf({ state, port, pid }) {
  if (state === 'unknown') return 'as it was before the connection was lost';
  return pid ? `pid ${pid}${port ? `, port ${port}` : ''}` : 'no process';
}

function noteOf(state, count) {
  if (count === 0) return state === 'running' ? 'Nobody is connected.' : '';
  if (state !== 'killed' && state !== 'crashed') return '';
  return `Still listed: the others take the node for dead when its lease runs out, within 10 seconds.`;
}

const clientElement = (cluster) => {
  const element = h(
    'li',
    { class: 'client' },
    h('span', { class: 'avatar', 'aria-hidden': 'true' }),
    h(
      'div',
      { class: 'client-text' },
      h('p', { class: 'client-line' }, h('span', { class: 'client-name', dir: 'auto' }), h('span', { class: 'rooms' })),
      h('p', { class: 'heard', dir: 'auto' }),
    ),
    h('button', {
      class: 'icon-button leave',
      type: 'button',
      text: '×',
      on: { click: () => cluster.removeGuest(cluster.guestOf(element.dataset.clientId)) },
    }),
  );
  return element;
};

const updateClient =
  (cluster, isGhost) =>
  (element, { clientId, username, rooms }) => {
    const guest = cluster.guestOf(clientId);
    element.dataset.clientId = clientId;
    element.classList.toggle('is-ghost', isGhost);
    paintAvatar(find('.avatar', element), username || '?');
    setText(find('.client-name', element), username || 'Not in yet');
    setText(find('.rooms', element), rooms.length > 0 ? rooms.map((room) => `#${room}`).join(' ') : 'in no room');
    const leave = find('.leave', element);
    show(leave, Boolean(guest) && !isGhost);
    leave.setAttribute('aria-label', `Remove ${username}`);
    const heard = find('.heard', element);
    show(heard, Boolean(guest?.last));
    if (!guest?.last) return;
    setText(heard, `${guest.last.text} · ${guest.last.delayMs} ms`);
    if (element.dataset.count !== String(guest.count)) {
      element.dataset.count = String(guest.count);
      heard.getAnimations().forEach((animation) => {
        animation.cancel();
        animation.play();
      });
    }
  };

const button = (kind, text, name, click, title) =>
  h('button', {
    class: `button button-small ${kind}`,
    type: 'button',
    text,
    title,
    'aria-label': `${text} node ${name}`,
    on: { click },
  });

/** A button that hides itself gives the focus to one that is left in its place. */
function show(element, isShown) {
  if (element.hidden === !isShown) return;
  const hadFocus = !isShown && element === document.activeElement;
  element.hidden = !isShown;
  if (hadFocus)
    setTimeout(() => element.parentElement?.querySelector('button:not([hidden]), a:not([hidden])')?.focus());
}
