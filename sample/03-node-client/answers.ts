import { parseDice, roll } from './dice.js';

/** What answers depend on besides the message: given, so that a test decides. */
export interface Surroundings {
  now: () => Date;
  random: () => number;
}

const HELP = 'I know /time, /roll (say /roll 2d6 for two dice of six), and how to return a hello.';
const HELLO = /^(hi|hello|hey|good (morning|evening))\b/i;

/** What the bot says to a message, or undefined. No answer is itself a command or a hello: two bots must not talk forever. */
export function answerTo(
  { username, text }: { username: string; text: string },
  { now, random }: Surroundings,
): string | undefined {
  const [command, argument = ''] = text.trim().split(/\s+/);
  switch (command) {
    case '/help':
      return HELP;
    case '/time':
      return `It is ${now().toISOString().slice(11, 19)} UTC.`;
    case '/roll':
      return rolled(username, argument || '1d6', random);
    default:
      return HELLO.test(text.trim()) ? `Nice to see you, ${username}. Say /help for what I can do.` : undefined;
  }
}

function rolled(username: string, notation: string, random: () => number): string {
  const dice = parseDice(notation);
  if (!dice) return 'Say for example /roll 2d6: up to 20 dice of 2 to 1000 sides.';
  const values = roll(dice, random);
  const sum = values.reduce((total, value) => total + value, 0);
  return `${username} rolled ${values.join(' + ')}${values.length > 1 ? ` = ${sum}` : ''}.`;
}
