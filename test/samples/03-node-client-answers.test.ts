import { describe, expect, it } from '@jest/globals';
import { answerTo } from '../../sample/03-node-client/answers.js';

const surroundings = { now: () => new Date('2026-03-04T15:06:07Z'), random: () => 0.5 };
const answer = (text: string): string | undefined => answerTo({ username: 'Ada', text }, surroundings);

describe('the answers of the bot', () => {
  it.each([
    ['/time', 'It is 15:06:07 UTC.'],
    ['/roll', 'Ada rolled 4.'],
    ['/roll 2d6', 'Ada rolled 4 + 4 = 8.'],
    ['  /roll  d20 ', 'Ada rolled 11.'],
    ['Hello everybody', 'Nice to see you, Ada. Say /help for what I can do.'],
    ['hi', 'Nice to see you, Ada. Say /help for what I can do.'],
  ])('answers %p', (text, expected) => {
    expect(answer(text)).toBe(expected);
  });

  it.each(['/roll 0d6', '/roll 21d6', '/roll 2d1', '/roll 1d1001', '/roll 2d6d6', '/roll -1d6', '/roll 99999999d9'])(
    'tells how it is done after %p',
    (text) => {
      expect(answer(text)).toMatch(/^Say for example/);
    },
  );

  it.each(['', ' ', 'history', 'I rolled home', '/unknown', 'so, hello'])('says nothing to %p', (text) => {
    expect(answer(text)).toBeUndefined();
  });

  it('never answers an answer, so that two bots fall silent', () => {
    for (const text of ['/help', '/time', '/roll', '/roll 2d6', '/roll x', 'hello']) {
      expect(answer(answer(text) as string)).toBeUndefined();
    }
  });

  it('rolls from one to the number of sides', () => {
    const rolled = [0, 0.999_999].map((value) =>
      answerTo({ username: 'Ada', text: '/roll d6' }, { ...surroundings, random: () => value }),
    );
    expect(rolled).toEqual(['Ada rolled 1.', 'Ada rolled 6.']);
  });
});
