/**
 * The known name that a misspelt one most likely means: `maxPayLoad` → `maxPayload`, `pingInterval` → `pingIntervalMs`.
 * @returns undefined if no name is near
 */
export function nearestName(given: string, known: Iterable<string>): string | undefined {
  const wanted = given.slice(0, LONGEST).toLowerCase();
  let nearest: string | undefined;
  let least = Infinity;
  for (const name of known) {
    const other = name.toLowerCase();
    const isPart =
      other === `${wanted}ms` || (wanted.length >= 4 && (other.startsWith(wanted) || wanted.startsWith(other)));
    const steps = isPart ? 1 : editsBetween(wanted, other);
    if (steps <= Math.max(1, Math.floor(other.length / 3)) && steps < least) {
      least = steps;
      nearest = name;
    }
  }
  return nearest;
}

/** No option has a longer name. Comparing costs the product of both lengths. */
const LONGEST = 64;

/** Characters to add, remove, replace or swap with their neighbour. */
function editsBetween(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1));
      const isExchanged = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (isExchanged) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[other.length] ?? 0;
}
