import { find, h, reconcile, setText } from '../../../01-chat/public/js/dom.js';
import { sentenceOf } from '../../../01-chat/public/js/sentences.js';
import { Jobs } from './jobs.js';

const jobs = new Jobs();
const limit = find('#limit');
const flaw = find('#flaw');
const EMPTY = 'None yet. Other browsers don’t see yours, another tab of this one does.';
const MISSING = 'They can’t be read at the moment. Reload the page to try again.';
const number = new Intl.NumberFormat();

find('#form').addEventListener('submit', async (event) => {
  event.preventDefault();
  flaw.textContent = '';
  try {
    // Spaces, dots and commas are how people write large numbers.
    await jobs.start(Number(limit.value.replace(/[\s.,'_]/g, '') || NaN), find('#must-fail').checked);
  } catch (error) {
    flaw.textContent = sentenceOf(error);
    limit.focus();
  }
});

jobs.addEventListener('change', render);
jobs.connect();

function render() {
  const { isConnected, isListMissing, list, news } = jobs;
  setText(find('#status'), isConnected ? 'Connected' : 'The connection is lost. Trying again…');
  find('#status').dataset.isConnected = String(isConnected);
  find('#start').disabled = !isConnected;
  find('#stale').hidden = isConnected || list.length === 0;
  find('#empty').hidden = list.length > 0;
  setText(find('#empty'), isListMissing ? MISSING : EMPTY);
  setText(find('#news'), news);
  reconcile(find('#jobs'), list, { key: ({ jobId }) => jobId, create, update });
}

function create({ jobId, limit: below }) {
  const title = `Primes below ${number.format(below)}`;
  return h(
    'li',
    { class: 'card job' },
    h('p', { class: 'job-head' }, h('span', { class: 'job-title', text: title }), h('span', { class: 'state' })),
    h('progress', { max: 100, 'aria-label': `Job ${jobId}: ${title}` }),
    h('p', { class: 'outcome' }),
  );
}

function update(element, job) {
  element.dataset.state = job.state;
  setText(find('.state', element), STATES[job.state](job));
  find('progress', element).value = job.percent;
  setText(find('.outcome', element), OUTCOMES[job.state](job));
}

const STATES = {
  waiting: () => 'Waiting',
  active: ({ percent }) => `${percent} %`,
  completed: () => 'Done',
  failed: () => 'Failed',
};

const OUTCOMES = {
  waiting: () => 'The worker takes two jobs at a time.',
  active: ({ found }) => `${number.format(found)} so far`,
  completed: ({ found }) => `${number.format(found)} primes`,
  failed: ({ error }) => error,
};
