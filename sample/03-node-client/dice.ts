const MAX_DICE = 20;
const MAX_SIDES = 1_000;

export interface Dice {
  count: number;
  sides: number;
}

/** Reads `2d6`, or `d20` for one. Undefined for what is no dice, or too much of it. */
export function parseDice(text: string): Dice | undefined {
  const match = /^(\d{0,2})d(\d{1,4})$/i.exec(text);
  if (!match) return undefined;
  const [count, sides] = [Number(match[1] || 1), Number(match[2])];
  const isFair = count >= 1 && count <= MAX_DICE && sides >= 2 && sides <= MAX_SIDES;
  return isFair ? { count, sides } : undefined;
}

/** @param random from 0 up to 1, as `Math.random` */
export function roll({ count, sides }: Dice, random: () => number): number[] {
  return Array.from({ length: count }, () => 1 + Math.floor(random() * sides));
}
