import { find, h, reconcile } from '../../../01-chat/public/js/dom.js';

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const REASONS = { 'node-lost': 'its node is lost', 'node-stopping': 'its node is stopping' };

const SENTENCES = {
  'node-starting': ({ node }) => `Node ${node} is starting.`,
  'node-running': ({ node }) => `Node ${node} serves clients.`,
  'node-stopping': ({ node }) => `Node ${node} was told to stop (SIGTERM).`,
  'node-stopped': ({ node }) => `Node ${node} has ended.`,
  'node-killed': ({ node }) => `Node ${node} was killed (SIGKILL).`,
  'node-crashed': ({ node }) => `Node ${node} ended by itself.`,
  'room-joined': ({ node, username, roomName }) => `${who(username)} joined #${roomName} on node ${node}.`,
  'room-left': ({ node, username, roomName, reason }) =>
    `${who(username)} left #${roomName} on node ${node}${because(reason)}.`,
  'client-left': ({ node, username, reason }) => `${who(username)} is gone from node ${node}${because(reason)}.`,
  'person-joined': ({ username, roomName }) => `The people in #${roomName} see that ${who(username)} came.`,
  'person-left': ({ username, roomName }) => `The people in #${roomName} see that ${who(username)} left.`,
  'guest-closed': ({ username, code, willReconnect }) =>
    `${who(username)}’s connection ended with ${code}${willReconnect ? ': coming back' : ''}.`,
  'guest-recovered': ({ username, roomName, missed }) =>
    `${who(username)} is back in #${roomName} and gets what was said meanwhile: ${missed} ${missed === 1 ? 'message' : 'messages'}.`,
};

const who = (username) => username || 'Somebody';
const because = (reason) => (reason in REASONS ? `: ${REASONS[reason]}` : '');

export function logView(cluster) {
  const list = find('#log');
  const create = (event) =>
    h(
      'li',
      { class: 'event', 'data-kind': event.kind },
      h('time', { text: time.format(event.at) }),
      h('span', { text: SENTENCES[event.kind]?.(event) ?? event.kind, dir: 'auto' }),
    );
  return {
    render() {
      find('#log-empty').hidden = cluster.events.length > 0;
      list.hidden = cluster.events.length === 0;
      reconcile(list, cluster.events, { key: ({ id }) => id, create });
    },
  };
}
